// What happens on the server, as it happens. All tabs of a browser share one stream: the tab that holds a lock reads it
// and tells the others. Six connections are all that a browser opens to a server without HTTP/2.
import { base, call } from "./call";

export interface LiveEvent {
  /** `run.ended`, `run.progress`; `reset` after a gap, when everything has to be loaded again. */
  readonly kind: string;
  readonly data: any;
}

type Listener = (event: LiveEvent) => void;
type Message = { event: LiveEvent } | { connected: boolean } | { asks: true };

const kinds = [
  "run.queued",
  "run.starting",
  "run.running",
  "run.phase",
  "run.progress",
  "run.cancel_requested",
  "run.ended",
  "run.quarantined",
  "slots.withdrawn",
  "problem.opened",
  "problem.repeated",
  "problem.resolved",
  "problem.acknowledged",
  "problem.muted",
  "delivery.undeliverable",
  "plan.paused",
  "plan.unpaused",
  "error.first_seen",
  "undo.done",
  "approval.asked",
  "approval.decided",
  "config.changed",
  "config.invalid",
] as const;

class Live {
  /** Whether events arrive. */
  connected = $state(false);
  #listeners = new Set<Listener>();
  #channel: BroadcastChannel | undefined;
  #source: EventSource | undefined;
  #release: (() => void) | undefined;
  #abort: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #lost = false;

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    if (this.#channel) return;
    this.#channel = new BroadcastChannel("keepfast.live");
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if ("event" in data) this.#tell(data.event);
      else if ("connected" in data) this.connected = data.connected;
      else if (this.#source) this.#post({ connected: this.connected });
    };
    this.#post({ asks: true });
    this.#abort = new AbortController();
    navigator.locks
      .request("keepfast.live", { signal: this.#abort.signal }, () => {
        // The tab that read the stream has gone, and what happens until this one reads it is in no event.
        this.#lost = this.connected;
        this.#open();
        return new Promise<void>((release) => (this.#release = release));
      })
      // It was stopped before its turn came.
      .catch(() => undefined);
  }

  stop(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
    this.#abort?.abort();
    this.#release?.();
    this.#channel?.close();
    this.#channel = undefined;
    this.connected = false;
  }

  #open(): void {
    const source = new EventSource(`${base}/events`);
    this.#source = source;
    source.onopen = () => {
      this.#connect(true);
      // What was missed while there was no stream is in no event that follows.
      if (this.#lost) this.#spread({ kind: "reset", data: null });
      this.#lost = false;
    };
    source.onerror = () => {
      this.#connect(false);
      this.#lost = true;
      // A stream that was refused isn't opened again by the browser. If it was because the session has ended, that is told.
      if (source.readyState === EventSource.CLOSED) {
        this.#retry = setTimeout(() => this.#open(), 5000);
        call("GET", "/session").catch(() => undefined);
      }
    };
    for (const kind of ["reset", ...kinds]) {
      source.addEventListener(kind, (message: MessageEvent<string>) => {
        this.#spread({ kind, data: message.data ? JSON.parse(message.data) : null });
      });
    }
  }

  #connect(connected: boolean): void {
    this.connected = connected;
    this.#post({ connected });
  }

  #spread(event: LiveEvent): void {
    this.#tell(event);
    this.#post({ event });
  }

  #tell(event: LiveEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #post(message: Message): void {
    this.#channel?.postMessage(message);
  }
}

export const live = new Live();
