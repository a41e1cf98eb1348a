// Who is signed in and what they may do, as the server says it. Rights are checked by the server; here they only decide
// which controls are offered.
import { call } from "../api/call";
import { Failure } from "../api/failure";
import type { About, Health, Right, Session } from "../api/types";
import { forgetKept } from "./resource.svelte";

type State = "asking" | "unreachable" | "setup" | "out" | "in";

class SessionState {
  state = $state<State>("asking");
  session = $state.raw<Session | null>(null);
  about = $state.raw<About | null>(null);
  /** Whether people can sign in with an account of elsewhere. */
  hasOidc = $state(false);
  /** Whether the user was signed in until now, and the session has ended. */
  expired = $state(false);

  async ask(): Promise<void> {
    try {
      const health = await call<Health>("GET", "/health");
      this.hasOidc = health.has_oidc ?? false;
      if (health.needs_setup) {
        this.state = "setup";
        return;
      }
      this.enter(await call<Session>("GET", "/session"));
    } catch (error) {
      const failure = Failure.from(error);
      if (failure.status === 401) this.leave(false);
      else this.state = "unreachable";
    }
  }

  enter(session: Session): void {
    this.session = session;
    this.expired = false;
    this.state = "in";
    call<About>("GET", "/about").then(
      (about) => (this.about = about),
      () => undefined,
    );
  }

  leave(expired: boolean): void {
    // Several requests may be refused at once: the first one tells, and those after it take nothing back.
    this.expired = expired && (this.expired || this.state === "in");
    this.session = null;
    this.state = "out";
    forgetKept();
  }

  /** Whether the user has a right for anything. Whether it is for what is asked, the server says. */
  can(right: Right): boolean {
    return this.session?.grants.some((grant) => grant.rights.includes(right)) ?? false;
  }

  get zone(): string | undefined {
    return this.about?.zone;
  }
}

export const session = new SessionState();
addEventListener("keepfast:signed-out", () => session.leave(true));
