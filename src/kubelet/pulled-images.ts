import { StatusError, messageOf } from '../base/status-error.ts';
import type { NodeContext } from './node-context.ts';

const fileBytesMax = 1_024 * 1_024;
const idsMax = 10_000; // the oldest are forgotten: those images then stay

/** The ids of images that this node's kubelet pulled, also before it was restarted. Upstream: pulled-image records. */
export class PulledImages {
  readonly #context: Pick<NodeContext, 'files' | 'layout' | 'log'>;
  #ids: Promise<Set<string>> | undefined; // read at the first use

  constructor(context: Pick<NodeContext, 'files' | 'layout' | 'log'>) {
    this.#context = context;
  }

  async has(id: string): Promise<boolean> {
    return (await this.#all()).has(id);
  }

  async add(id: string): Promise<void> {
    const ids = await this.#all();
    if (ids.has(id)) return;
    ids.add(id);
    for (const oldest of ids) {
      if (ids.size <= idsMax) break;
      ids.delete(oldest);
    }
    await this.#write(ids);
  }

  async forget(id: string): Promise<void> {
    const ids = await this.#all();
    if (ids.delete(id)) await this.#write(ids);
  }

  get #path(): string {
    return `${this.#context.layout.rootDir}/pulled-images`;
  }

  #all(): Promise<Set<string>> {
    this.#ids ??= this.#read();
    return this.#ids;
  }

  async #read(): Promise<Set<string>> {
    const bytes = await this.#context.files.readTail(this.#path, fileBytesMax);
    return new Set(
      new TextDecoder()
        .decode(bytes)
        .split('\n')
        .filter((line) => line !== ''),
    );
  }

  /** One that cannot be written costs only that its images are not removed by a later kubelet. */
  async #write(ids: ReadonlySet<string>): Promise<void> {
    const { files, layout, log } = this.#context;
    try {
      await files.makeDirectory(layout.rootDir, 0o755);
      await files.write(this.#path, [...ids].map((id) => `${id}\n`).join(''), 0o644);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      log.warn('pulledImagesNotWritten', { error: messageOf(error) });
    }
  }
}
