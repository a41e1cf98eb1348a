// Sets the theme that was chosen before anything is painted, so that no page flashes in the other one.
try {
  const theme = localStorage.getItem("keepfast.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme counts.
}
