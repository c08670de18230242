import type { HostPathVolumeSource, Volume } from '../api/gen/types.ts';
import { StatusError } from '../base/status-error.ts';
import type { DownwardFacts } from './downward-api.ts';
import { makeEmptyDir } from './empty-dir.ts';
import type { FileStat, NodeFiles } from './node-files.ts';
import { podDirectory, volumeDirectory } from './node-layout.ts';
import type { NodeLayout } from './node-layout.ts';
import type { ObjectReader } from './object-reader.ts';
import { podUidOf } from './pod-names.ts';
import { ServiceAccountTokens } from './service-account-tokens.ts';
import type { ServiceAccountTokensDeps } from './service-account-tokens.ts';
import { apiVolumeTypes, volumeFilesOf } from './volume-files.ts';
import type { VolumeContents } from './volume-files.ts';
import { VolumeWriter } from './volume-writer.ts';

/** The first files of a pod are of the newest objects; a running pod follows them each sync, so late at the most. */
const followingAgeMsMax = 10_000;

/** A volume that is there to be mounted. */
export interface MountableVolume {
  readonly hostPath: string;
  /** Written by the kubelet: containers may only read it. */
  readonly isReadOnly: boolean;
  /** Of directories that are made in it for a subPath. */
  readonly directoryMode: number;
  readonly groupId: number | undefined;
}

export interface VolumesResult {
  /** All of the pod's, by name; `undefined`: one could not be made. */
  readonly volumes: ReadonlyMap<string, MountableVolume> | undefined;
  /** What went wrong: texts of FailedMount events. A volume that was there before stays usable as it was. */
  readonly problems: readonly string[];
}

export interface VolumesDeps extends ServiceAccountTokensDeps {
  readonly files: NodeFiles;
  readonly objects: ObjectReader;
  readonly layout: NodeLayout;
}

/**
 * Makes the volumes of pods: emptyDir, hostPath, and files from config maps, secrets and the downward
 * API, which are brought up to date on every sync. Other types are refused by name.
 */
export class Volumes {
  readonly #files: NodeFiles;
  readonly #contents: Omit<VolumeContents, 'ageMsMax'>;
  readonly #writer: VolumeWriter;
  readonly #layout: NodeLayout;
  readonly #madeByPod = new Map<string, ReadonlyMap<string, MountableVolume>>(); // pod uid -> as last made

  constructor(deps: VolumesDeps) {
    this.#files = deps.files;
    const tokens = new ServiceAccountTokens({ ...deps, entropy: deps.entropy.fork('tokens') });
    this.#contents = { objects: deps.objects, tokens };
    this.#writer = new VolumeWriter({ ...deps, entropy: deps.entropy.fork('volumes') });
    this.#layout = deps.layout;
  }

  /** Called on every sync before containers are started. */
  async prepare(facts: DownwardFacts, signal: AbortSignal): Promise<VolumesResult> {
    const podUid = podUidOf(facts.pod);
    const before = this.#madeByPod.get(podUid);
    const volumes = new Map<string, MountableVolume>();
    const problems: string[] = [];
    for (const [index, volume] of (facts.pod.spec?.volumes ?? []).entries()) {
      try {
        const ageMsMax = before === undefined ? 0 : followingAgeMsMax;
        volumes.set(volume.name, await this.#prepareOne({ ...facts, ageMsMax }, volume, index, signal));
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        problems.push(`MountVolume.SetUp failed for volume "${volume.name}" : ${error.message}`);
        const made = before?.get(volume.name);
        if (made === undefined) return { volumes: undefined, problems };
        volumes.set(volume.name, made);
      }
    }
    if (volumes.size > 0) this.#madeByPod.set(podUid, volumes);
    return { volumes, problems };
  }

  /** Removes what was made for a pod whose containers have ended; what was mounted from the node stays. */
  async remove(podUid: string): Promise<void> {
    this.#madeByPod.delete(podUid);
    this.#contents.tokens.forgetPod(podUid);
    await this.#files.remove(`${podDirectory(this.#layout, podUid)}/volumes`);
  }

  async #prepareOne(
    facts: DownwardFacts & { readonly ageMsMax: number },
    volume: Volume,
    index: number,
    signal: AbortSignal,
  ): Promise<MountableVolume> {
    const podUid = podUidOf(facts.pod);
    const groupId = facts.pod.spec?.securityContext?.fsGroup;
    if (volume.hostPath !== undefined) {
      await this.#checkHostPath(volume.hostPath);
      return { hostPath: volume.hostPath.path, isReadOnly: false, directoryMode: 0o755, groupId: undefined };
    }
    if (volume.emptyDir !== undefined || isUntyped(volume)) {
      const hostPath = volumeDirectory(this.#layout, podUid, 'empty-dir', volume.name);
      // Set-group-ID: what is made in it belongs to the group as well.
      const directoryMode = groupId === undefined ? 0o777 : 0o2777;
      const { allocatable } = facts;
      const place = { hostPath, field: `spec.volumes[${index}]`, mode: directoryMode, groupId, allocatable };
      await makeEmptyDir(this.#files, facts.pod, volume.emptyDir ?? {}, place);
      return { hostPath, isReadOnly: false, directoryMode, groupId };
    }
    for (const [field, type] of Object.entries(apiVolumeTypes)) {
      if (!(field in volume)) continue;
      const hostPath = volumeDirectory(this.#layout, podUid, type, volume.name);
      const files = await volumeFilesOf({ ...this.#contents, ageMsMax: facts.ageMsMax }, facts, volume, signal);
      await this.#writer.write(hostPath, files, groupId);
      return { hostPath, isReadOnly: true, directoryMode: 0o755, groupId };
    }
    const field = Object.keys(volume).find((key) => key !== 'name') ?? '';
    throw new StatusError('BadRequest', `spec.volumes[${index}].${field} is not supported by this node`);
  }

  async #checkHostPath({ path, type = '' }: HostPathVolumeSource): Promise<void> {
    const found = await this.#files.stat(path);
    if (found === undefined && type === 'DirectoryOrCreate') return this.#files.makeDirectory(path, 0o755);
    if (found === undefined && type === 'FileOrCreate') return this.#files.write(path, '', 0o644);
    if (type === '') {
      // Upstream leaves it to the runtime, which makes a directory.
      if (found === undefined) await this.#files.makeDirectory(path, 0o755);
      return undefined;
    }
    const wanted = hostPathKinds[type];
    if (wanted === undefined) throw new StatusError('BadRequest', `unknown hostPath type ${JSON.stringify(type)}`);
    if (found?.kind === wanted.kind) return undefined;
    throw new StatusError('BadRequest', `hostPath type check failed: ${path} is not ${wanted.words}`);
  }
}

const hostPathKinds: Readonly<Record<string, { readonly kind: FileStat['kind']; readonly words: string }>> = {
  Directory: { kind: 'directory', words: 'a directory' },
  DirectoryOrCreate: { kind: 'directory', words: 'a directory' },
  File: { kind: 'file', words: 'a file' },
  FileOrCreate: { kind: 'file', words: 'a file' },
  Socket: { kind: 'socket', words: 'a socket file' },
  CharDevice: { kind: 'charDevice', words: 'a character device' },
  BlockDevice: { kind: 'blockDevice', words: 'a block device' },
};

// A volume without a type is an emptyDir; the API server's defaulting says so too.
function isUntyped(volume: Volume): boolean {
  return Object.keys(volume).every((key) => key === 'name');
}
