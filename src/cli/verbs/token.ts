import { humanDuration } from '../../api/age.ts';
import {
  bootstrapSecretName,
  bootstrapTokenIdLength,
  bootstrapTokenNamespace,
  bootstrapTokenSecretLength,
  bootstrapTokenType,
  expiryOf,
  parseBootstrapToken,
  tokenField,
} from '../../api/bootstrap-token.ts';
import type { Secret } from '../../api/gen/types.ts';
import { resources } from '../../api/resources.ts';
import { formatTime } from '../../api/time.ts';
import { authorityHash } from '../../client/http/authority-pin.ts';
import { loadKubeconfig } from '../../client/http/kubeconfig.ts';
import { kubeconfigPathOf } from '../api-connection.ts';
import { CliError } from '../cli-error.ts';
import { describeLayout, TabWriter } from '../printers/tab-writer.ts';
import { randomText } from '../random-text.ts';
import type { Verb, VerbCall } from '../verb.ts';

export const verb: Verb = {
  usage: `token create [--ttl DURATION]
       livelet token list
       livelet token delete ID`,
  help: `Make, list and delete the tokens by which nodes join the cluster. "create" prints the whole command to run on a new
node, with the token and the hash by which the node knows the server. A token serves any number of nodes until it
expires; nodes that have joined do not need it any more.`,
  connects: true,
  flags: [
    {
      name: 'ttl',
      kind: 'duration',
      fallback: 24 * 60 * 60 * 1_000,
      help: 'How long it can be used, like 30m or 24h; 0: for ever.',
    },
  ],
  run: runToken,
};

async function runToken(call: VerbCall): Promise<number> {
  const [what, ...rest] = call.args;
  if (what === 'create' && rest.length === 0) return await create(call);
  if (what === 'list' && rest.length === 0) return await list(call);
  if (what === 'delete' && rest[0] !== undefined && rest.length === 1) return await remove(call, rest[0]);
  throw new CliError(`token can create, list, and delete ID (got: ${call.args.join(' ')})`);
}

async function create(call: VerbCall): Promise<number> {
  const { flags, io, signal } = call;
  const ttlMs = flags.durationMs('ttl');
  if (ttlMs < 0) throw new CliError('--ttl is negative');
  const connection = call.connect();
  const id = randomText(letters, bootstrapTokenIdLength);
  const secret = randomText(letters, bootstrapTokenSecretLength);
  const body: Secret = {
    metadata: { name: bootstrapSecretName(id) },
    type: bootstrapTokenType,
    stringData: {
      'token-id': id,
      'token-secret': secret,
      'usage-bootstrap-authentication': 'true',
      'usage-bootstrap-signing': 'true',
      'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token',
      ...(ttlMs === 0 ? {} : { expiration: formatTime(io.clock.wallMs() + ttlMs) }),
    },
  };
  await connection.client.create(resources.secrets, { namespace: bootstrapTokenNamespace }, body, signal);
  const { server, hash } = serverOf(call);
  const trust = hash === undefined ? '' : ` --ca-cert-hash ${hash}`;
  io.out(`livelet node --server ${server} --token ${id}.${secret}${trust}\n`);
  if (isLoopback(server)) {
    io.err(`note: ${server} is reached from this computer only; for others start it with --bind and --advertise\n`);
  }
  return 0;
}

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** As the kubeconfig says, which this connection was made from. */
function serverOf({ flags, io }: VerbCall): { readonly server: string; readonly hash: string | undefined } {
  const context = flags.optional('context');
  const where = { ...kubeconfigPathOf(flags, io), ...(context === undefined ? {} : { context }) };
  const access = loadKubeconfig(where);
  const authority = access?.certificateAuthority;
  return {
    server: flags.optional('server') ?? access?.server ?? '',
    hash: authority === undefined ? undefined : authorityHash(authority),
  };
}

function isLoopback(server: string): boolean {
  return /^https:\/\/(127\.|localhost[:/]|\[::1\])/.test(server);
}

async function list(call: VerbCall): Promise<number> {
  const { io, signal } = call;
  const options = { namespace: bootstrapTokenNamespace, fieldSelector: `type=${bootstrapTokenType}` };
  const { items } = await call.connect().client.list(resources.secrets, options, signal);
  if (items.length === 0) {
    io.out('no tokens: make one with "livelet token create"\n');
    return 0;
  }
  const tabs = new TabWriter(describeLayout);
  tabs.write('TOKEN\tTTL\tEXPIRES\n');
  for (const secret of items) {
    const expiry = expiryOf(secret);
    const token = `${tokenField(secret, 'token-id')}.${tokenField(secret, 'token-secret')}`;
    const ttl = expiry === undefined ? '<forever>' : humanDuration(expiry - io.clock.wallMs());
    tabs.write(`${token}\t${ttl}\t${expiry === undefined ? '<never>' : formatTime(expiry)}\n`);
  }
  io.out(tabs.flush());
  return 0;
}

/** `word`: the id, or the whole token. */
async function remove(call: VerbCall, word: string): Promise<number> {
  const id = parseBootstrapToken(word)?.id ?? word;
  await call
    .connect()
    .client.delete(
      resources.secrets,
      { namespace: bootstrapTokenNamespace, name: bootstrapSecretName(id) },
      {},
      call.signal,
    );
  call.io.out(`token ${id} deleted\n`);
  return 0;
}
