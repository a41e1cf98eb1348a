// Carries out what a user asked for, and says what became of it.
import { Asked, Failure } from "../api/failure";
import { text } from "../text";
import { go } from "./router.svelte";
import { proof } from "./proof.svelte";
import { toasts } from "./toasts.svelte";

/** Runs it. Says `done`, or why it wasn't done. Returns whether it was. */
export async function act<T>(what: () => Promise<T>, done: string | ((result: T) => string)): Promise<boolean> {
  try {
    const result = await proven(what);
    const words = typeof done === "string" ? done : done(result);
    if (words) toasts.show({ tone: "ok", text: words });
    return true;
  } catch (error) {
    if (error instanceof Asked) {
      toasts.show({ tone: "running", text: text.approvals.sent, action: { label: text.approvals.see, run: () => go("/approvals") } });
      return false;
    }
    const failure = Failure.from(error);
    toasts.show({ tone: "failed", text: text.failed(failure.title, failure.detail) });
    return false;
  }
}

/** What is dangerous needs a fresh proof of who the user is: asks for it, and then goes on. */
export async function proven<T>(what: () => Promise<T>): Promise<T> {
  try {
    return await what();
  } catch (error) {
    if (Failure.from(error).code !== "proof_needed") throw error;
    if (!(await proof.ask())) throw error;
    return await what();
  }
}

/** A key that names one intent of a user, however often its request is sent. */
export function onceKey(): string {
  // Randomness as an id alone; pages on plain HTTP lack `randomUUID`.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
