import { spawn, type ChildProcess } from 'node:child_process';
import { StatusError } from '../../base/status-error.ts';

const errorTextBytesMax = 4_096; // of the launcher's standard error, kept for messages
const lineBytesMax = 65_536;

export interface ShellChannelOptions {
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** For each line that the shell writes: its words. */
  readonly onMessage: (words: readonly string[]) => void;
  /** Once, when the shell is gone. */
  readonly onEnd: () => void;
}

/** A long-lived shell: commands go in line by line, messages come out line by line. */
export class ShellChannel {
  readonly #child: ChildProcess;
  readonly #onEnd: () => void;
  readonly ended: Promise<void>;
  #errorText = '';
  #isEnded = false;

  constructor(options: ShellChannelOptions) {
    const [program, ...args] = options.command;
    // Detached: a session of its own, so that Ctrl-C on the terminal reaches livelet alone.
    this.#child = spawn(program, args, { detached: true, stdio: 'pipe', env: options.env, cwd: '/' });
    this.#onEnd = options.onEnd;
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(0, lineBytesMax);
      for (const line of lines) options.onMessage(line.split(' '));
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errorText = (this.#errorText + text).slice(-errorTextBytesMax);
    });
    this.#child.stdin?.on('error', () => {}); // the shell is gone: `ended` says so
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        if (this.#isEnded) return;
        this.#isEnded = true;
        this.#onEnd();
        resolve();
      };
      this.#child.once('close', end);
      this.#child.once('error', (error) => {
        this.#errorText = error.message;
        end();
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The last of what it wrote on standard error. */
  get errorText(): string {
    return this.#errorText.trim();
  }

  /** `line` must be a complete command without a newline. Its effects are in the order of the calls. */
  send(line: string): void {
    if (this.#isEnded) throw new StatusError('ServiceUnavailable', 'the process launcher has ended');
    this.#child.stdin?.write(`${line}\n`);
  }

  async close(): Promise<void> {
    if (this.#isEnded) return;
    this.#child.stdin?.end();
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
