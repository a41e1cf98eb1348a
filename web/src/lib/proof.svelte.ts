// Asks the user for the password again, before something dangerous.
class Proof {
  asking = $state(false);
  #answer: ((proven: boolean) => void) | undefined;

  /** Whether the user has shown it. `parts/ProofDialog.svelte` asks. */
  ask(): Promise<boolean> {
    this.#answer?.(false);
    this.asking = true;
    return new Promise((answer) => (this.#answer = answer));
  }

  end(proven: boolean): void {
    this.asking = false;
    this.#answer?.(proven);
    this.#answer = undefined;
  }
}

export const proof = new Proof();
