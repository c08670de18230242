import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import type { TestImages } from './test-images.ts';

export interface TestRegistry {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly requests: string[];
  close(): Promise<void>;
}

/**
 * An image registry (the read half of the distribution protocol) with these images, whatever registry they are asked
 * of. Unknown images are 404.
 */
export async function startTestRegistry({ directory, images }: TestImages): Promise<TestRegistry> {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://registry');
    requests.push(`${request.method} ${pathname}`);
    const [, repository = '', kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
    const name = `${searchParams.get('ns') ?? ''}/${repository}:${reference}`;
    const manifest = images.find((image) =>
      kind === 'manifests' ? image.name === name || image.manifest.digest === reference : false,
    )?.manifest;
    const digest = manifest?.digest ?? reference;
    const file = path.join(directory, 'blobs/sha256', /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1] ?? 'none');
    const size = fs.statSync(file, { throwIfNoEntry: false })?.size;
    if (size === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
      return;
    }
    response.writeHead(200, {
      'content-type': manifest?.mediaType ?? 'application/octet-stream',
      'content-length': size,
      'docker-content-digest': digest,
    });
    if (request.method === 'HEAD') response.end();
    else fs.createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
