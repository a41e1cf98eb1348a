// Copies words to the clipboard, and says whether that was possible.
import { toasts } from "./toasts.svelte";

export async function copy(words: string, done: string, failed: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(words);
    toasts.show({ tone: "ok", text: done });
  } catch {
    toasts.show({ tone: "findings", text: failed });
  }
}
