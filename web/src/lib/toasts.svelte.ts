// Short messages about what was done, with a way back where there is one.
export interface Toast {
  readonly id: number;
  readonly tone: "ok" | "findings" | "failed" | "running";
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 1;

  show(toast: Omit<Toast, "id">): void {
    const id = this.#next++;
    this.list = [...this.list, { ...toast, id }].slice(-4);
    // A message that asks for something stays until it is closed.
    if (!toast.action && toast.tone !== "failed") setTimeout(() => this.close(id), 6000);
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
