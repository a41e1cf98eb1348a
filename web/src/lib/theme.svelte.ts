// The theme: the system's, or the one that was chosen. public/theme.js sets it before the first paint.
export type Choice = "system" | "light" | "dark";
const key = "keepfast.theme";

function stored(): Choice {
  try {
    const found = localStorage.getItem(key);
    return found === "light" || found === "dark" ? found : "system";
  } catch {
    return "system";
  }
}

class Theme {
  choice = $state<Choice>(stored());
  /** Counts changes, for what is drawn on a canvas. */
  turn = $state(0);

  choose(choice: Choice): void {
    this.choice = choice;
    if (choice === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = choice;
    this.turn += 1;
    try {
      if (choice === "system") localStorage.removeItem(key);
      else localStorage.setItem(key, choice);
    } catch {
      // It holds until the page is closed.
    }
  }
}

export const theme = new Theme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (theme.turn += 1));
