import { StatusError } from '../../base/status-error.ts';
import { CliError } from '../cli-error.ts';
import { dataDirFlag, dataDirOf, makeDataDir } from '../livelet-home.ts';
import { tableLayout, TabWriter } from '../printers/tab-writer.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: 'image (add NAME DIR | list | rm NAME) [--data-dir DIR]',
  help: `Images of the process runtime: programs in directories of this machine. A directory says how it is run with a
package.json, a Dockerfile (ENTRYPOINT, CMD, ENV, WORKDIR, USER, EXPOSE, STOPSIGNAL) or an image.json. A running cluster
knows a new image at once. Real containers (up --runtime cri) take their images from registries.`,
  connects: false,
  flags: [dataDirFlag],
  run: runImage,
};

async function runImage({ args, flags, io }: VerbCall): Promise<number> {
  const dataDir = dataDirOf(flags, io);
  const [what = '', ...operands] = args;
  const images = await import('../../main/process-images.ts');
  switch (what) {
    case 'add': {
      const [name = '', directory = ''] = exactly(2, 'image add NAME DIR', operands);
      makeDataDir(dataDir);
      const added = await told(images.addLocalImage(dataDir, name, directory));
      io.out(`${added.name} is ${added.directory}\n`);
      return 0;
    }
    case 'list': {
      exactly(0, 'image list', operands);
      const tabs = new TabWriter(tableLayout);
      tabs.write('NAME\tBYTES\tPROGRAM\n');
      for (const { name, sizeBytes, directory } of images.listLocalImages(dataDir)) {
        const program = directory ?? (sizeBytes === 0 ? "this machine's own commands" : 'comes with livelet');
        tabs.write(`${name}\t${sizeBytes}\t${program}\n`);
      }
      io.out(tabs.flush());
      return 0;
    }
    case 'rm': {
      const [name = ''] = exactly(1, 'image rm NAME', operands);
      if (!(await images.removeLocalImage(dataDir, name))) throw new CliError(`no image "${name}" was added`);
      io.out(`image "${name}" removed\n`);
      return 0;
    }
    default:
      throw new CliError(`image can add, list and rm (got: ${args.join(' ')})`);
  }
}

function exactly(count: number, usage: string, operands: readonly string[]): readonly string[] {
  if (operands.length === count && !operands.includes('')) return operands;
  throw new CliError(`usage: livelet ${usage}`);
}

async function told<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof StatusError) throw new CliError(error.message, { cause: error });
    throw error;
  }
}
