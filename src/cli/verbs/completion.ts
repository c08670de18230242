import { CliError } from '../cli-error.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  usage: 'completion (bash|zsh|fish)',
  help: `Print a completion script for your shell. It completes verbs, flags, kinds, and the names of objects.
  bash:  source <(livelet completion bash)
  zsh:   source <(livelet completion zsh)
  fish:  livelet completion fish | source`,
  connects: false,
  flags: [],
  run: ({ args, io }) => {
    const [shell, extra] = args;
    if (shell === undefined) throw new CliError('Shell not specified: bash, zsh or fish.');
    if (extra !== undefined) throw new CliError('Too many arguments. Expected only the shell type.');
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
    if (script === undefined) throw new CliError(`Unsupported shell type "${shell}": bash, zsh or fish.`);
    io.out(script);
    return Promise.resolve(0);
  },
};

const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion for livelet
_livelet() {
  local IFS=$'\\n' line=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # bash takes = and : for ends of words: glue the word together again
  local current="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(compgen -W "$(livelet __complete "\${line[@]}" 2>/dev/null)" -- "$current"))
  [[ "\${COMPREPLY[0]}" == */ || "\${COMPREPLY[0]}" == *= ]] && compopt -o nospace
  return 0
}
complete -o default -F _livelet livelet
`,
  zsh: `#compdef livelet
_livelet() {
  local -a found
  found=("\${(@f)$(livelet __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
compdef _livelet livelet
`,
  fish: `# fish completion for livelet
function __livelet_complete
  set -l line (commandline -opc) (commandline -ct)
  livelet __complete $line[2..-1] 2>/dev/null
end
complete -c livelet -f -a '(__livelet_complete)'
complete -c livelet -n '__fish_seen_subcommand_from create apply' -s f -l filename -r -F
`,
};
