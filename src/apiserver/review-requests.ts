/**
 * Questions that are no objects: what may I do (`kubectl auth can-i`), and which custom kinds there are (none; kubectl
 * asks when it meets a kind that it does not know).
 */
import { isJsonObject } from '../api/patch/merge-patch.ts';
import type { HttpRequest, HttpResponse, UserInfo } from '../base/http.ts';
import { StatusError } from '../base/status-error.ts';
import { isPublicPath, isTrusted } from './authorize.ts';
import { negotiate } from './negotiate.ts';
import type { BodyReader } from './request-body.ts';
import { jsonResponse, wrongMethod } from './respond.ts';

const customKindsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const authorization = 'authorization.k8s.io/v1';

type Review = (spec: unknown, user: UserInfo) => object;

/** By path: the kind of the review, and how its status is found. */
const reviews: ReadonlyMap<string, readonly [apiVersion: string, kind: string, review: Review]> = new Map([
  [`/apis/${authorization}/selfsubjectaccessreviews`, [authorization, 'SelfSubjectAccessReview', reviewAccess]],
  [`/apis/${authorization}/selfsubjectrulesreviews`, [authorization, 'SelfSubjectRulesReview', reviewRules]],
]);

/** `undefined`: the path is none of these. Any authenticated user may ask. */
export function answerReview(
  reader: BodyReader,
  request: HttpRequest,
  user: UserInfo,
  revision: () => number,
): HttpResponse | undefined {
  if (request.path === customKindsPath) {
    if (request.method !== 'GET') throw wrongMethod();
    const metadata = { resourceVersion: String(revision()) };
    const list = { kind: 'CustomResourceDefinitionList', apiVersion: 'apiextensions.k8s.io/v1', metadata, items: [] };
    return jsonResponse(200, JSON.stringify(list));
  }
  const found = reviews.get(request.path);
  if (found === undefined) return undefined;
  if (request.method !== 'POST') throw wrongMethod();
  // It is no object, and has no table; it is written in JSON, which every client reads.
  negotiate(request.headers['accept'], { views: false, encodings: reader.encodings });
  const [apiVersion, kind, review] = found;
  const spec = readSpec(reader, request, kind);
  const answer = {
    kind,
    apiVersion,
    metadata: {},
    ...(spec === undefined ? {} : { spec }),
    status: review(spec, user),
  };
  return jsonResponse(201, JSON.stringify(answer));
}

/** Newer kubectls ask in protobuf; reviews are not in our field table, so that what exactly they ask stays unread. */
function readSpec(reader: BodyReader, request: HttpRequest, kind: string): unknown {
  if (request.headers['content-type']?.startsWith('application/vnd.kubernetes.protobuf') === true) return undefined;
  const body = reader.readOptions(request, kind);
  if (!isJsonObject(body) || (body['kind'] !== undefined && body['kind'] !== kind)) {
    throw new StatusError('BadRequest', `the object provided is unrecognized (must be of type ${kind})`);
  }
  return body['spec'];
}

function reviewAccess(spec: unknown, user: UserInfo): object {
  if (isTrusted(user)) return { allowed: true };
  const attributes = isJsonObject(spec) ? spec['nonResourceAttributes'] : undefined;
  const path = isJsonObject(attributes) ? attributes['path'] : undefined;
  const verb = isJsonObject(attributes) ? attributes['verb'] : undefined;
  return { allowed: typeof path === 'string' && verb === 'get' && isPublicPath(user, path) };
}

function reviewRules(_spec: unknown, user: UserInfo): object {
  const everything = { resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] };
  return isTrusted(user)
    ? { ...everything, nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }], incomplete: false }
    : {
        resourceRules: [
          {
            verbs: ['create'],
            apiGroups: ['authorization.k8s.io'],
            resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
          },
          { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
        ],
        nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/api', '/apis', '/healthz', '/version'] }],
        incomplete: false,
      };
}
