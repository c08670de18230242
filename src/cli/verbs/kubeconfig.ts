import fs from 'node:fs';
import path from 'node:path';
import { CliError } from '../cli-error.ts';
import { dataDirFlag, dataDirOf } from '../livelet-home.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  usage: 'kubeconfig [--data-dir DIR]',
  help: 'Print the path of the kubeconfig: export KUBECONFIG=$(livelet kubeconfig)',
  connects: false,
  flags: [dataDirFlag],
  run: ({ flags, io }) => {
    const file = path.join(dataDirOf(flags, io), 'kubeconfig');
    if (!fs.existsSync(file)) {
      throw new CliError(`there is no ${file}: start a cluster with "livelet up" first`);
    }
    io.out(`${file}\n`);
    return Promise.resolve(0);
  },
};
