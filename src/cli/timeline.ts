import type { CliIo } from './cli-io.ts';
import type { Story, StoryLine, Tone } from './demo-story.ts';

/**
 * Lines with the time since the start; on a terminal in colour, and with a line below them that is drawn again and
 * again.
 */
export class Timeline {
  readonly #io: CliIo;
  readonly #startedMs: number;
  readonly #hasColour: boolean;
  #hasFooter = false; // the cursor stands at the end of a line that is to go
  #frame = 0;

  constructor(io: CliIo) {
    this.#io = io;
    this.#startedMs = io.clock.monoMs();
    const noColor = io.env['NO_COLOR'];
    this.#hasColour = io.stdoutIsTty && (noColor === undefined || noColor === '') && io.env['TERM'] !== 'dumb';
  }

  elapsedMs(): number {
    return this.#io.clock.monoMs() - this.#startedMs;
  }

  add(line: StoryLine): void {
    this.#clearFooter();
    const seconds = `${(this.elapsedMs() / 1_000).toFixed(1)}s`.padStart(6);
    this.#io.out(`${seconds}  ${line.what.padEnd(7)}  ${this.#coloured(line.text, line.tone)}\n`);
  }

  /** Only on a terminal. */
  redraw(story: Story): void {
    this.#clearFooter();
    const spinner = spinnerFrames[this.#frame++ % spinnerFrames.length] ?? '';
    const seconds = (this.elapsedMs() / 1_000).toFixed(1).padStart(5);
    const waits = story.wasKilled && story.restartCount === 0 ? ', waiting out the grace period' : '';
    this.#io.out(`${seconds}s  ${spinner}  RESTARTS ${story.restartCount}${waits}`);
    this.#hasFooter = true;
  }

  end(): void {
    this.#clearFooter();
  }

  #clearFooter(): void {
    if (this.#hasFooter) this.#io.out('\r\u001B[K');
    this.#hasFooter = false;
  }

  #coloured(text: string, tone: Tone): string {
    if (!this.#hasColour || tone === 'plain') return text;
    return `\u001B[${colourCodes[tone]}m${text}\u001B[0m`;
  }
}

const colourCodes = { good: 32, bad: 31 } as const; // green, red
const spinnerFrames = ['|', '/', '-', '\\'];
