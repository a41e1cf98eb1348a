// The instant that relative times are against. It moves each half a minute, so that no page shows an old "now".
class Now {
  ms = $state(Date.now());
}

export const now = new Now();

setInterval(() => (now.ms = Date.now()), 30_000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) now.ms = Date.now();
});
