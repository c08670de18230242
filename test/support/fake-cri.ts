/** A CRI server in this process, on a Unix socket: what a runtime does at its worst, without a runtime. */
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import { podLabels } from '../../src/cri/runtime.ts';
import { Containers } from '../../src/cri/grpc/gen/containerd-containers_pb.ts';
import { Events } from '../../src/cri/grpc/gen/containerd-events_pb.ts';
import { ImageService, RuntimeService } from '../../src/cri/grpc/gen/cri_pb.ts';

export interface FakeCriServices {
  readonly runtime?: Partial<ServiceImpl<typeof RuntimeService>>;
  readonly images?: Partial<ServiceImpl<typeof ImageService>>;
  /** Absent: no containerd. */
  readonly events?: Partial<ServiceImpl<typeof Events>>;
  readonly containers?: Partial<ServiceImpl<typeof Containers>>;
}

/** CRI's number of a container's state. */
export const fakeStates = { created: 0, running: 1, exited: 2 } as const;

export interface FakeContainer {
  state: number;
  reason: string;
  exitCode?: number;
}

/** It has the containers in `containers`, all of the pod `uid-1`, and what else `services` say. */
export class FakeCri {
  readonly containers = new Map<string, FakeContainer>();
  readonly endpoint: string;
  readonly #directory: string;
  readonly #services: FakeCriServices;
  #server: http2.Http2Server | undefined;
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  private constructor(directory: string, services: FakeCriServices) {
    this.#directory = directory;
    this.#services = services;
    this.endpoint = `unix://${path.join(directory, 'cri.sock')}`;
  }

  static async start(services: FakeCriServices): Promise<FakeCri> {
    const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'livelet-cri-'));
    const server = new FakeCri(directory, services);
    await server.listen();
    return server;
  }

  async listen(): Promise<void> {
    const { runtime, images, events, containers } = this.#services;
    const handler = connectNodeAdapter({
      routes: (router) => {
        router.service(RuntimeService, { ...this.#basics(), ...runtime });
        if (images !== undefined) router.service(ImageService, images);
        if (events !== undefined) router.service(Events, events);
        if (containers !== undefined) router.service(Containers, containers);
      },
    });
    const server = http2.createServer(handler);
    server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('error', () => undefined); // it is this side that breaks off
    });
    server.listen(this.endpoint.slice('unix://'.length));
    await once(server, 'listening');
    this.#server = server;
  }

  /** Breaks every connection off. */
  async die(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#sessions.clear();
    const closed = this.#server && once(this.#server, 'close');
    this.#server?.close();
    this.#server = undefined;
    await closed;
  }

  async close(): Promise<void> {
    await this.die();
    await fs.rm(this.#directory, { recursive: true, force: true });
  }

  #basics(): Partial<ServiceImpl<typeof RuntimeService>> {
    const labels = { [podLabels.podUid]: 'uid-1' };
    return {
      version: () => ({ runtimeName: 'fake', runtimeVersion: '1.2.3', runtimeApiVersion: 'v1' }),
      listContainers: () => ({
        containers: [...this.containers].map(([id, { state }]) => ({ id, state, labels, podSandboxId: 'box' })),
      }),
      containerStatus: ({ containerId }) => {
        const container = this.containers.get(containerId);
        if (container === undefined) throw new ConnectError(`no ${containerId}`, Code.NotFound);
        return { status: { id: containerId, metadata: { name: 'main', attempt: 0 }, labels, ...container } };
      },
    };
  }
}

/** Holds a call until the client gives it up. */
export async function never(context: HandlerContext): Promise<never> {
  await new Promise((resolve) => {
    context.signal.addEventListener('abort', resolve, { once: true });
  });
  throw new ConnectError('given up', Code.Canceled);
}
