// The real program: a server with a folder of its own, on a free port of this machine, and a client of its API that is
// someone else's device.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const patience = Number(process.env.PATIENCE_MS ?? 20_000);

const target = process.env.CARGO_TARGET_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "keepfast/target");
const program = process.env.KEEPFAST_PROGRAM ?? join(target, "release/keepfast");

/** The first user, an administrator. */
export const anna = { user: "anna", password: "correct horse battery" };

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Requests of someone who is signed in elsewhere. */
export class Client {
  #cookies = new Map();
  constructor(url) {
    this.url = url;
  }

  /** Sends a request, and returns status and document. */
  async ask(method, path, body, headers = {}) {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(this.#cookies.size && { Cookie: [...this.#cookies].map((pair) => pair.join("=")).join("; ") }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(patience),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
      this.#cookies.set(name, value);
    }
    const text = await response.text();
    return { status: response.status, document: text ? JSON.parse(text) : undefined };
  }

  /** The document of an answer that says yes. */
  async get(method, path, body, headers) {
    const { status, document } = await this.ask(method, path, body, headers);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(document)}`);
    return document;
  }

  /** Starts a backup, and returns its run. */
  async run(plan) {
    return (await this.get("POST", "/runs", { kind: "backup", plan }, { "Idempotency-Key": `${plan}-${Math.random()}` })).run;
  }

  /** Waits until something that is asked for again and again is so. */
  async until(what, path, isSo) {
    const end = Date.now() + 5 * patience;
    for (;;) {
      const document = await this.get("GET", path);
      if (isSo(document)) return document;
      if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(document)}`);
      await new Promise((later) => setTimeout(later, 100));
    }
  }
}

export class Program {
  #child;
  #said = [];
  #heard = new Set();
  #end = () => this.#child?.kill("SIGKILL");

  static async prepare() {
    if (!existsSync(program)) {
      throw new Error(`there is no program at ${program}: build it by \`make build\`, or say where it is by KEEPFAST_PROGRAM`);
    }
    const own = new Program();
    own.folder = mkdtempSync(join(tmpdir(), "keepfast-real-"));
    process.once("exit", own.#end);
    own.port = await freePort();
    own.url = `http://127.0.0.1:${own.port}`;
    for (const name of ["source", "restored"]) mkdirSync(own.path(name));
    writeFileSync(own.path("password"), "a password of tests\n", { mode: 0o600 });
    own.define("");
    own.call("init", "--repo", own.path("repository"), "--password-file", own.path("password"));
    return own;
  }

  path(...parts) {
    return join(this.folder, ...parts);
  }

  /** Writes the configuration: what all tests need, and more. */
  define(more) {
    const words = [
      "version = 1",
      "",
      "[server]",
      `listen      = "127.0.0.1:${this.port}"`,
      `state       = { sqlite = "${this.path("state/state.db")}" }`,
      'definitions = "files+managed"',
      `restore_to  = ["${this.path("restored")}"]`,
      "backup      = false",
      "",
      "[repository.main]",
      `url      = "${this.path("repository")}"`,
      `password = { file = "${this.path("password")}" }`,
      `cache    = "${this.path("cache")}"`,
      "",
    ];
    mkdirSync(this.path("state"), { recursive: true });
    writeFileSync(this.path("keepfast.toml"), words.join("\n") + more);
  }

  get #environment() {
    const { PATH, TMPDIR } = process.env;
    return { PATH, HOME: this.folder, ...(TMPDIR && { TMPDIR }), KEEPFAST_CONFIG: this.path("keepfast.toml") };
  }

  /** A command of the program that ends by itself. */
  call(...words) {
    const done = spawnSync(program, words, { env: this.#environment, encoding: "utf8", timeout: 5 * patience });
    if (done.status !== 0) throw new Error(`keepfast ${words.join(" ")}: ${done.status ?? done.signal}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  /** Starts the server, and waits until it answers. The kernel ends it if this process ends in any way. */
  async start() {
    this.#said = [];
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", program, "serve"], {
      env: this.#environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const child = this.#child;
    createInterface({ input: child.stderr }).on("line", (line) => {
      this.#said.push(line);
      for (const hear of this.#heard) hear();
    });
    child.once("exit", () => {
      for (const hear of this.#heard) hear();
    });
    await this.says("the API is at");
  }

  /** Waits until the server says this, and returns the line. */
  says(part) {
    return new Promise((found, failed) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#heard.delete(hear);
        settle(value);
      };
      const why = (what) => new Error(`the server ${what} and hasn't said ${JSON.stringify(part)}:\n${this.#said.join("\n")}`);
      const hear = () => {
        const line = this.#said.find((one) => one.includes(part));
        if (line !== undefined) end(found, line);
        else if (this.#child.exitCode !== null || this.#child.signalCode !== null) end(failed, why("has ended"));
      };
      const timer = setTimeout(() => end(failed, why("is there")), 5 * patience);
      this.#heard.add(hear);
      hear();
    });
  }

  /** The token for the first user, as the server prints it. */
  async token() {
    return (await this.says("make the first one with")).trim().split(" ").at(-1);
  }

  /** Sends it a signal, and waits for its end. */
  async end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), 5 * patience);
    await ended;
    clearTimeout(late);
  }

  /** Ends the server, and removes all that it had. */
  async stop() {
    await this.end("SIGKILL");
    process.off("exit", this.#end);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  /** Someone else who is signed in as the administrator; who is made if there is no one. */
  async elsewhere() {
    const client = new Client(this.url);
    const health = await client.get("GET", "/health");
    if (health.needs_setup) await client.get("POST", "/setup", { token: await this.token(), ...anna });
    else await client.get("POST", "/session", { ...anna, code: null });
    return client;
  }
}
