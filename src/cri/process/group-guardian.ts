import { ShellChannel } from './shell-channel.ts';
import { systemPath } from './shell-tools.ts';

// Reads `+ GROUP` and `- GROUP`; when livelet is gone, however it ended, it ends every group that is left.
const guardianScript = `
groups=' '
while read -r what group; do
  case $what in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
`;

/**
 * Sees to it that no process group outlives this process, where there is no namespace to do so. Needs a POSIX shell.
 */
export class GroupGuardian {
  #channel: ShellChannel | undefined; // started with the first group

  add(group: number): void {
    this.#channel ??= new ShellChannel({
      command: ['sh', '-c', guardianScript],
      env: { PATH: systemPath },
      onMessage: () => {},
      onEnd: () => {},
    });
    if (!this.#channel.isEnded) this.#channel.send(`+ ${group}`);
  }

  remove(group: number): void {
    if (this.#channel?.isEnded === false) this.#channel.send(`- ${group}`);
  }

  async close(): Promise<void> {
    await this.#channel?.close();
  }
}
