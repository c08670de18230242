import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOf, podsPath, startApi } from '../../test/support/api-calls.ts';
import type { Json } from '../../test/support/api-calls.ts';

const json = (type: string) => ({ headers: { 'content-type': `application/${type}+json` } });

test('a new pod gets what the server owns, and loses what the client may not set', async () => {
  const api = await startApi();
  const metadata = {
    uid: 'mine',
    generation: 7,
    creationTimestamp: '2001-01-01T00:00:00Z',
    deletionTimestamp: '2001-01-01T00:00:00Z',
    managedFields: [{ manager: 'x' }],
  };
  const pod = await api.ok('POST', podsPath, podOf('web', { metadata, status: { phase: 'Running' } }));
  assert.deepEqual(
    { ...pod.metadata, uid: pod.metadata.uid.length },
    {
      name: 'web',
      namespace: 'default',
      uid: 36,
      resourceVersion: '7',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
  );
  assert.deepEqual(pod.status, { phase: 'Pending', qosClass: 'BestEffort' });
  assert.equal(pod.spec.serviceAccountName, 'default');
  assert.equal(pod.spec.tolerations.length, 2);
  assert.deepEqual(await api.ok('GET', `${podsPath}/web`), pod);
  await api.close();
});

test('the stored text is what a GET shows: kind, apiVersion and resourceVersion come from key and revision', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  const { text } = await api.call('GET', `${podsPath}/web`);
  assert.ok(text.startsWith('{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7",'), text);
  await api.close();
});

test('generateName makes a name of the base, cut to 58 characters, and five others', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', podsPath, podOf('', { metadata: { generateName: 'web-' } }));
  assert.match(pod.metadata.name, /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  const long = await api.ok('POST', podsPath, podOf('', { metadata: { generateName: 'x'.repeat(80) } }));
  assert.match(long.metadata.name, /^x{58}[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  await api.close();
});

test('a dry run answers as if, and writes nothing', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', `${podsPath}?dryRun=All`, podOf('web'));
  assert.equal(pod.metadata.resourceVersion, undefined);
  assert.match(await api.fails('GET', `${podsPath}/web`), /^404 /);
  await api.ok('POST', podsPath, podOf('web'));
  assert.match(await api.fails('POST', `${podsPath}?dryRun=All`, podOf('web')), /^409 AlreadyExists/);
  const labels = { metadata: { labels: { a: 'b' } } };
  const patched = await api.ok('PATCH', `${podsPath}/web?dryRun=All`, labels, json('merge-patch'));
  assert.deepEqual(patched.metadata.labels, { a: 'b' });
  await api.ok('DELETE', `${podsPath}/web?dryRun=All`);
  const stored = await api.ok('GET', `${podsPath}/web`);
  assert.deepEqual([stored.metadata.labels, stored.metadata.deletionTimestamp], [undefined, undefined]);
  assert.equal(
    await api.fails('POST', `${podsPath}?dryRun=Some`, podOf('x')),
    '422 Invalid: CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"',
  );
  await api.close();
});

test('an update with an old resourceVersion or another UID is a conflict; without one it wins', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', podsPath, podOf('web'));
  const labelled = (metadata: Json): Json => ({ ...pod, metadata: { ...pod.metadata, ...metadata } });
  const next = await api.ok('PUT', `${podsPath}/web`, labelled({ labels: { a: '1' } }));
  assert.equal(next.metadata.resourceVersion, '8');
  assert.equal(
    await api.fails('PUT', `${podsPath}/web`, labelled({ labels: { a: '2' } })),
    '409 Conflict: Operation cannot be fulfilled on pods "web": the object has been modified; ' +
      'please apply your changes to the latest version and try again',
  );
  assert.match(
    await api.fails('PUT', `${podsPath}/web`, labelled({ uid: 'other', resourceVersion: '' })),
    /^409 Conflict: .*Precondition failed: UID in precondition: other, UID in object meta: [-0-9a-f]{36}$/,
  );
  const last = await api.ok('PUT', `${podsPath}/web`, labelled({ labels: { a: '3' }, resourceVersion: undefined }));
  assert.deepEqual([last.metadata.labels, last.metadata.resourceVersion], [{ a: '3' }, '9']);
  await api.close();
});

test('an update that changes nothing writes nothing, whatever the order of its keys', async () => {
  const api = await startApi();
  const { metadata, spec, status } = await api.ok('POST', podsPath, podOf('web'));
  const same = { status, spec, metadata: Object.fromEntries(Object.entries(metadata).reverse()) };
  const answer = await api.ok('PUT', `${podsPath}/web`, same);
  assert.equal(answer.metadata.resourceVersion, metadata.resourceVersion);
  await api.close();
});

test('status and the rest are updated apart; generation counts changes of the spec', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', podsPath, podOf('web'));
  const status = { ...pod.status, phase: 'Running', podIP: '10.0.0.1' };
  const relabelled = { ...pod, metadata: { ...pod.metadata, labels: { a: 'b' } } };
  const plain = await api.ok('PUT', `${podsPath}/web`, { ...relabelled, status });
  assert.deepEqual([plain.status, plain.metadata.labels], [pod.status, { a: 'b' }]);
  const running = await api.ok(
    'PATCH',
    `${podsPath}/web/status`,
    { status, spec: { nodeName: 'n' } },
    json('merge-patch'),
  );
  assert.deepEqual([running.status, running.spec.nodeName, running.metadata.generation], [status, undefined, 1]);
  const image = { spec: { containers: [{ name: 'main', image: 'busybox:2' }] } };
  const changed = await api.ok('PATCH', `${podsPath}/web`, image, json('strategic-merge-patch'));
  assert.deepEqual([changed.metadata.generation, changed.status.phase], [2, 'Running']);
  await api.close();
});

test('patches: JSON, merge and strategic merge; a broken one changes nothing', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  const path = `${podsPath}/web`;
  const add = [{ op: 'add', path: '/metadata/annotations', value: { a: '1' } }];
  assert.deepEqual((await api.ok('PATCH', path, add, json('json-patch'))).metadata.annotations, { a: '1' });
  const merge = { metadata: { annotations: { a: null, b: '2' } } };
  assert.deepEqual((await api.ok('PATCH', path, merge, json('merge-patch'))).metadata.annotations, { b: '2' });
  const strategic = { spec: { tolerations: [{ key: 'k', operator: 'Exists' }] } };
  const before = (await api.ok('GET', path)).spec.tolerations;
  const patched = await api.ok(
    'PATCH',
    path,
    { spec: { tolerations: [...before, ...strategic.spec.tolerations] } },
    json('strategic-merge-patch'),
  );
  assert.equal(patched.spec.tolerations.length, 3);
  assert.equal(
    await api.fails('PATCH', path, [{ op: 'remove', path: '/metadata/nosuch' }], json('json-patch')),
    '422 Invalid: the server rejected our request due to an error in our request',
  );
  assert.match(await api.fails('PATCH', path, '[1', json('json-patch')), /^400 BadRequest: error decoding patch: /);
  assert.match(await api.fails('PATCH', path, { x: 1 }, json('json-patch')), /^400 BadRequest: error decoding patch: /);
  assert.match(
    await api.fails('PATCH', `${path}?fieldValidation=Strict`, { spec: { foo: 1 } }, json('merge-patch')),
    /^422 Invalid: .*strict decoding error: unknown field "spec\.foo"$/,
  );
  assert.match(
    await api.fails('PATCH', path, { spec: { nodeName: 'x' } }, json('merge-patch')),
    /^422 Invalid: Pod "web"/,
  );
  assert.match(
    await api.fails('PATCH', path, 'a: b', { headers: { 'content-type': 'application/apply-patch+yaml' } }),
    /^415 UnsupportedMediaType: server-side apply is not served/,
  );
  assert.match(await api.fails('PATCH', path, {}, json('x')), /^415 UnsupportedMediaType: the body of the request/);
  await api.close();
});

test('a patch is tried again when another write comes between, unless it names a resourceVersion', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  const label = (n: number) =>
    api.call('PATCH', `${podsPath}/web`, { metadata: { labels: { [`l${n}`]: 'x' } } }, json('merge-patch'));
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => label(n)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array.from({ length: 10 }, () => 200),
  );
  assert.equal(Object.keys((await api.ok('GET', `${podsPath}/web`)).metadata.labels).length, 10);
  const old = { metadata: { resourceVersion: '7', labels: { z: 'z' } } };
  assert.match(await api.fails('PATCH', `${podsPath}/web`, old, json('merge-patch')), /^409 Conflict/);
  await api.close();
});

test('of creates of one name exactly one succeeds', async () => {
  const api = await startApi();
  const answers = await Promise.all(Array.from({ length: 8 }, () => api.call('POST', podsPath, podOf('web'))));
  assert.deepEqual(
    answers.map(({ status }) => status).sort((a, b) => a - b),
    [201, 409, 409, 409, 409, 409, 409, 409],
  );
  await api.close();
});

test('a lease or an event is created by PUT if it is not there; a pod is not; a lease is replaced only by version', async () => {
  const api = await startApi();
  const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l';
  const lease = { metadata: { name: 'l' }, spec: { holderIdentity: 'a' } };
  const created = await api.call('PUT', path, lease);
  assert.equal(created.status, 201);
  for (const resourceVersion of [undefined, '', '0']) {
    assert.equal(
      await api.fails('PUT', path, { ...lease, metadata: { name: 'l', resourceVersion } }),
      '422 Invalid: leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: ' +
        'must be specified for an update',
    );
  }
  assert.equal((await api.call('PUT', path, { ...created.json, spec: { holderIdentity: 'b' } })).status, 200);
  assert.match(await api.fails('PUT', `${podsPath}/web`, podOf('web')), /^404 NotFound: pods "web" not found$/);
  await api.close();
});

test('a pod template is kept: with defaults, checked, counted in generations, in a table', async () => {
  const api = await startApi();
  const path = '/api/v1/namespaces/default/podtemplates';
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'busybox' }] } };
  const created = await api.ok('POST', path, { metadata: { name: 'web' }, template });
  assert.equal(created.metadata.generation, 1);
  assert.equal(created.template.spec.containers[0].imagePullPolicy, 'Always');
  const changed = { ...created, template: { ...template, metadata: { labels: { app: 'db' } } } };
  const { status, json: answer } = await api.call('PUT', `${path}/web`, changed);
  assert.deepEqual([status, answer.metadata.generation], [200, 2]);
  assert.match(
    await api.fails('POST', path, { metadata: { name: 'bare' } }),
    /^422 Invalid: .*template\.spec\.containers: Required value/,
  );
  const asTable = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
  const table = (await api.call('GET', path, undefined, asTable)).json;
  assert.deepEqual(table.rows[0].cells, ['web', 'c', 'busybox', 'app=db']);
  await api.close();
});

test('an eviction tells the pod why it goes, and deletes it as its options say', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  await api.ok('POST', `${podsPath}/web/binding`, { metadata: { name: 'web' }, target: { name: 'n1' } });
  const pod = await api.ok('GET', `${podsPath}/web`);
  const evict = (options: object, name = 'web') =>
    ({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name }, deleteOptions: options }) as const;
  const path = `${podsPath}/web/eviction`;
  assert.match(await api.fails('POST', path, evict({}, 'other')), /^400 BadRequest: name in URL does not match/);
  assert.match(
    await api.fails('POST', path, evict({ preconditions: { uid: 'x' } })),
    /^409 Conflict: .*UID in the prec/,
  );
  assert.equal((await api.call('POST', path, evict({ dryRun: ['All'] }))).status, 201);
  assert.deepEqual((await api.ok('GET', `${podsPath}/web`)).metadata, pod.metadata);
  const resourceVersion = pod.metadata.resourceVersion;
  const asked = evict({ gracePeriodSeconds: 7, preconditions: { uid: pod.metadata.uid, resourceVersion } });
  const { status, json: answer } = await api.call('POST', path, asked);
  assert.deepEqual([status, answer.status, answer.code], [201, 'Success', 201]);
  const evicted = await api.ok('GET', `${podsPath}/web`);
  assert.equal(evicted.metadata.deletionGracePeriodSeconds, 7);
  assert.deepEqual(evicted.status.conditions.slice(1), [
    {
      type: 'DisruptionTarget',
      status: 'True',
      observedGeneration: 1,
      lastProbeTime: null,
      lastTransitionTime: '2026-01-01T00:00:00Z',
      reason: 'EvictionByEvictionAPI',
      message: 'Eviction API: evicting',
    },
  ]);
  assert.match(await api.fails('POST', `${podsPath}/gone/eviction`, evict({}, 'gone')), /^404 NotFound/);
  await api.close();
});

test('ephemeral containers are added to a pod, and never changed or taken away', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('web'));
  const path = `${podsPath}/web/ephemeralcontainers`;
  const merging = { headers: { 'content-type': 'application/strategic-merge-patch+json' } };
  const withOne = (name: string, image: string) => ({
    metadata: { labels: { ignored: 'no' } },
    spec: { activeDeadlineSeconds: 5, ephemeralContainers: [{ name, image }] },
  });
  const added = (await api.call('PATCH', path, withOne('debug', 'busybox'), merging)).json;
  assert.equal(added.metadata.generation, 2);
  assert.equal(added.spec.activeDeadlineSeconds, undefined); // only what the subresource is for
  const [debug] = added.spec.ephemeralContainers;
  assert.deepEqual([debug.name, debug.imagePullPolicy, debug.terminationMessagePolicy], ['debug', 'Always', 'File']);
  const two = (await api.call('PATCH', path, withOne('second', 'busybox:1'), merging)).json;
  assert.equal(two.spec.ephemeralContainers.length, 2);
  const without = { ...two, spec: { ...two.spec, ephemeralContainers: [debug] } };
  assert.match(await api.fails('PUT', path, without), /existing ephemeral containers "second" may not be removed/);
  const changed = withOne('debug', 'alpine');
  assert.match(await api.fails('PATCH', path, changed, merging), /"debug" may not be changed/);
  const same = withOne(added.spec.containers[0].name, 'busybox');
  assert.match(await api.fails('PATCH', path, same, merging), /ephemeralContainers\[\d\]\.name: Duplicate value/);
  assert.match(
    await api.fails('PUT', `${podsPath}/web`, without),
    /^422 Invalid: .*pod updates may not change fields/s,
  );
  await api.close();
});

test('binding sets the node once, with its condition, and answers with a Status', async () => {
  const api = await startApi();
  const pod = await api.ok('POST', podsPath, podOf('web'));
  const bind = { metadata: { name: 'web', uid: pod.metadata.uid }, target: { kind: 'Node', name: 'n1' } };
  const { status, json: answer } = await api.call('POST', `${podsPath}/web/binding`, bind);
  assert.deepEqual([status, answer.status, answer.code], [201, 'Success', 201]);
  const bound = await api.ok('GET', `${podsPath}/web`);
  assert.equal(bound.spec.nodeName, 'n1');
  assert.equal(bound.metadata.generation, 1);
  assert.deepEqual(bound.status.conditions, [
    {
      type: 'PodScheduled',
      status: 'True',
      observedGeneration: 1,
      lastProbeTime: null,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ]);
  assert.equal(
    await api.fails('POST', `${podsPath}/web/binding`, bind),
    '409 Conflict: Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "n1"',
  );
  await api.ok('POST', podsPath, podOf('other'));
  const wrong = { metadata: { name: 'other', uid: 'x' }, target: { name: 'n1' } };
  assert.match(await api.fails('POST', `${podsPath}/other/binding`, wrong), /^409 Conflict: .*UID in precondition: x/);
  assert.match(
    await api.fails('POST', `${podsPath}/other/binding`, { metadata: { name: 'other' }, target: { name: '' } }),
    /^422 Invalid: .*target\.name: Required value$/,
  );
  assert.equal(
    (
      await api.call('POST', '/api/v1/namespaces/default/bindings', {
        metadata: { name: 'other' },
        target: { name: 'n1' },
      })
    ).status,
    201,
  );
  await api.close();
});

test('a replacement is first compared with its path, then with what is there; version 0 is any version', async () => {
  const api = await startApi();
  assert.match(
    await api.fails('PUT', `${podsPath}/b`, podOf('a')),
    /^400 BadRequest: the name of the object \(a\) does not match the name on the URL \(b\)$/,
  );
  const pod = await api.ok('POST', podsPath, podOf('a'));
  const metadata = { ...pod.metadata, resourceVersion: '0', labels: { x: 'y' } };
  const changed = await api.ok('PUT', `${podsPath}/a`, { ...pod, metadata });
  assert.deepEqual([changed.metadata.labels, changed.metadata.resourceVersion], [{ x: 'y' }, '8']);
  await api.close();
});

test('the status of a pod brings labels with it, but no other owner', async () => {
  const api = await startApi();
  const owner = { apiVersion: 'v1', kind: 'ReplicationController', name: 'rc', uid: 'u1' };
  const pod = await api.ok('POST', podsPath, podOf('a', { metadata: { ownerReferences: [owner] } }));
  const metadata = { ...pod.metadata, labels: { x: 'y' }, ownerReferences: [{ ...owner, uid: 'u2' }] };
  const changed = await api.ok('PUT', `${podsPath}/a/status`, { ...pod, metadata, status: { phase: 'Running' } });
  assert.deepEqual(
    [changed.metadata.labels, changed.metadata.ownerReferences, changed.status.phase],
    [{ x: 'y' }, [owner], 'Running'],
  );
  await api.close();
});

test('a strategic merge that leaves no pod tells the patch, and what could not be converted', async () => {
  const api = await startApi();
  await api.ok('POST', podsPath, podOf('a'));
  const problems = [
    [{ spec: { containers: {} } }, 'map[spec:map[containers:map[]]]', 'cannot restore slice from map'],
    [{ metadata: { labels: ['x'] } }, 'map[metadata:map[labels:[x]]]', 'cannot restore map from slice'],
    [{ spec: { terminationGracePeriodSeconds: 'x' } }, undefined, 'cannot convert string to int64'],
    [{ spec: { securityContext: 5 } }, undefined, 'cannot restore struct from: int64'],
  ] as const;
  for (const [patch, shown, problem] of problems) {
    const text = await api.fails('PATCH', `${podsPath}/a`, patch, json('strategic-merge-patch'));
    assert.ok(text.endsWith(`: ${problem}`), text);
    if (shown !== undefined)
      assert.equal(text, `422 Invalid:  "" is invalid: patch: Invalid value: "${shown}": ${problem}`);
  }
  assert.match(
    await api.fails(
      'PATCH',
      `${podsPath}/a?fieldValidation=Strict`,
      { spec: { foo: 1 } },
      json('strategic-merge-patch'),
    ),
    /"map\[spec:map\[foo:1\]\]": strict decoding error: unknown field "spec\.foo"$/,
  );
  await api.close();
});

const priorityPath = '/apis/scheduling.k8s.io/v1/priorityclasses';

test('a pod gets the priority of its class, or of the default one, and may not say another', async () => {
  const api = await startApi();
  const priorityOf = ({ spec }: Json): unknown[] => [spec.priority, spec.priorityClassName, spec.preemptionPolicy];
  const makePod = (name: string, spec: object): Promise<Json> => api.ok('POST', podsPath, withSpec(name, spec));
  const withSpec = (name: string, spec: object): Json => ({ ...podOf(name), spec: { ...podOf(name).spec, ...spec } });
  assert.deepEqual(priorityOf(await makePod('a', {})), [0, undefined, 'PreemptLowerPriority']);
  const never = { metadata: { name: 'batch' }, value: -5, preemptionPolicy: 'Never' };
  await api.ok('POST', priorityPath, never);
  assert.deepEqual(priorityOf(await makePod('b', { priorityClassName: 'batch' })), [-5, 'batch', 'Never']);
  const critical = { priorityClassName: 'system-node-critical' };
  const expected = [2_000_001_000, 'system-node-critical', 'PreemptLowerPriority'];
  assert.deepEqual(priorityOf(await makePod('c', critical)), expected);
  await api.ok('POST', priorityPath, { metadata: { name: 'usual' }, value: 7, globalDefault: true });
  const usual = await makePod('d', {});
  assert.deepEqual(priorityOf(usual), [7, 'usual', 'PreemptLowerPriority']);
  // Who updates it need not know.
  const { priority: _p, preemptionPolicy: _q, ...rest } = usual.spec;
  const labels = { ...usual, metadata: { ...usual.metadata, labels: { a: 'b' } }, spec: rest };
  assert.deepEqual(priorityOf(await api.ok('PUT', `${podsPath}/d`, labels)), priorityOf(usual));
  const refused = (spec: object): Promise<string> => api.fails('POST', podsPath, withSpec('e', spec));
  const computed = (what: string, given: string, value: string): string =>
    `403 Forbidden: pods "e" is forbidden: ${what} (${given}) must not be provided in pod spec; ` +
    `priority admission controller computed ${value} from the given PriorityClass name`;
  assert.equal(await refused({ priority: 9 }), computed('the integer value of priority', '9', '7'));
  assert.equal(
    await refused({ preemptionPolicy: 'Never' }),
    computed('the string value of PreemptionPolicy', 'Never', 'PreemptLowerPriority'),
  );
  assert.equal(
    await refused({ priorityClassName: 'none' }),
    '403 Forbidden: pods "e" is forbidden: no PriorityClass with name none was found',
  );
  await api.close();
});

test('priority classes: two of the system, one default, and values that stay', async () => {
  const api = await startApi();
  const { items } = await api.ok('GET', priorityPath);
  assert.deepEqual(
    items.map(({ metadata, value, preemptionPolicy }: Json) => [metadata.name, value, preemptionPolicy]),
    [
      ['system-cluster-critical', 2_000_000_000, 'PreemptLowerPriority'],
      ['system-node-critical', 2_000_001_000, 'PreemptLowerPriority'],
    ],
  );
  const first = await api.ok('POST', priorityPath, { metadata: { name: 'a' }, value: 1, globalDefault: true });
  const head = 'priorityclasses.scheduling.k8s.io';
  const twice = `403 Forbidden: ${head} "b" is forbidden: PriorityClass a is already marked as default. Only one default can exist`;
  assert.equal(
    await api.fails('POST', priorityPath, { metadata: { name: 'b' }, value: 2, globalDefault: true }),
    twice,
  );
  const second = await api.ok('POST', priorityPath, { metadata: { name: 'b' }, value: 2 });
  assert.equal(await api.fails('PUT', `${priorityPath}/b`, { ...second, globalDefault: true }), twice);
  await api.ok('PUT', `${priorityPath}/a`, { ...first, description: 'still the default' });
  const invalid = (name: string, problem: string): string =>
    `422 Invalid: PriorityClass.scheduling.k8s.io "${name}" is invalid: ${problem}`;
  assert.equal(
    await api.fails('PUT', `${priorityPath}/b`, { ...second, value: 3, preemptionPolicy: 'Never' }),
    invalid(
      'b',
      '[value: Forbidden: may not be changed in an update., preemptionPolicy: Invalid value: "Never": field is immutable]',
    ),
  );
  const cases: readonly (readonly [string, number, string])[] = [
    ['c', 1_000_000_001, 'value: Forbidden: maximum allowed value of a user defined priority is 1000000000'],
    [
      'system-c',
      1,
      "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. " +
        'error: system-c is not a known system priority class',
    ],
  ];
  for (const [name, value, problem] of cases) {
    assert.equal(await api.fails('POST', priorityPath, { metadata: { name }, value }), invalid(name, problem));
  }
  const table = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
  const { json: shown } = await api.call('GET', priorityPath, undefined, table);
  assert.deepEqual(
    shown.columnDefinitions.map(({ name, type }: Json) => `${name} ${type}`),
    ['Name string', 'Value integer', 'Global-Default boolean', 'Age string', 'PreemptionPolicy string'],
  );
  assert.deepEqual(shown.rows[0].cells, ['a', 1, true, '0s', 'PreemptLowerPriority']);
  await api.close();
});

test('matchLabelKeys of a new pod become part of the selectors beside them', async () => {
  const api = await startApi();
  const term = {
    topologyKey: 'zone',
    labelSelector: { matchLabels: { app: 'web' } },
    matchLabelKeys: ['version', 'x'],
  };
  const affinity = {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 1, podAffinityTerm: { ...term, mismatchLabelKeys: ['tenant'] } },
      ],
    },
  };
  const spread = { ...term, maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' };
  const pod = podOf('a', { metadata: { labels: { version: '1', tenant: 't' } } });
  const made = await api.ok('POST', podsPath, {
    ...pod,
    spec: { ...pod.spec, affinity, topologySpreadConstraints: [spread] },
  });
  const version = { key: 'version', operator: 'In', values: ['1'] };
  assert.deepEqual(made.spec.topologySpreadConstraints[0], {
    ...spread,
    labelSelector: { ...term.labelSelector, matchExpressions: [version] },
  });
  const [preferred] = made.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution;
  assert.deepEqual(preferred.podAffinityTerm.labelSelector.matchExpressions, [
    version,
    { key: 'tenant', operator: 'NotIn', values: ['t'] },
  ]);
  await api.close();
});

test('a node makes mirrors of its own static pods only, and touches no pod of another node', async () => {
  const api = await startApi();
  const as = { user: { name: 'system:node:n1', groups: ['system:nodes'] } };
  const { metadata: node } = await api.ok('POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: node.uid, controller: true };
  const annotations = { 'kubernetes.io/config.mirror': 'hash' };
  const mirror = (owners: Json[], spec: Json = {}): Json =>
    podOf('m', { metadata: { annotations, ownerReferences: owners }, spec: { nodeName: 'n1', ...spec } });
  const asks = async (pod: Json): Promise<string> =>
    (await api.fails('POST', podsPath, pod, as)).replace('403 Forbidden: pods "m" is forbidden: ', '');
  assert.deepEqual(
    [
      await asks(podOf('m', { spec: { nodeName: 'n1' } })),
      await asks(mirror([owner], { nodeName: 'n2' })),
      await asks(mirror([])),
      await asks(mirror([owner, { ...owner, uid: 'x' }])),
      await asks(mirror([{ ...owner, controller: false }])),
      await asks(mirror([{ ...owner, blockOwnerDeletion: true }])),
      await asks(mirror([{ ...owner, uid: 'x' }])),
      await asks(mirror([owner], { volumes: [{ name: 'v', secret: { secretName: 's' } }] })),
    ],
    [
      'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
      'node "n1" can only create pods with spec.nodeName set to itself',
      'node "n1" can only create pods with an owner reference set to itself',
      'node "n1" can only create pods with a single owner reference set to itself',
      'node "n1" can only create pods with a controller owner reference set to itself',
      'node "n1" must not set blockOwnerDeletion on an owner reference',
      `node n1 UID mismatch: expected ${node.uid} got x`,
      'node "n1" can not create pods that reference secrets',
    ],
  );
  await api.ok('POST', podsPath, mirror([owner]), as);
  const status = { status: { phase: 'Running' } };
  await api.ok('PATCH', `${podsPath}/m/status`, status, { ...as, ...json('merge-patch') });
  await api.ok('POST', podsPath, podOf('other', { spec: { nodeName: 'n2' } }));
  const head = '403 Forbidden: pods "other" is forbidden: ';
  assert.deepEqual(
    [
      await api.fails('PATCH', `${podsPath}/other/status`, status, { ...as, ...json('merge-patch') }),
      await api.fails('DELETE', `${podsPath}/other`, undefined, as),
      await api.fails('PATCH', `${podsPath}/m`, {}, { ...as, ...json('merge-patch') }),
      await api.fails('POST', `${podsPath}/other/binding`, { target: { name: 'n1' } }, as),
    ],
    [
      `${head}node "n1" can only update pod status for pods with spec.nodeName set to itself`,
      `${head}node "n1" can only delete pods with spec.nodeName set to itself`,
      '403 Forbidden: pods "m" is forbidden: unexpected operation "UPDATE", node "n1" can only create and delete mirror pods',
      `${head}unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`,
    ],
  );
  await api.ok('DELETE', `${podsPath}/m?gracePeriodSeconds=0`, undefined, as);
  const denied = 'User "system:node:n1" cannot get resource "pods" in API group "" in the namespace "default"';
  assert.equal(
    await api.fails('GET', `${podsPath}/other`, undefined, as),
    `${head}${denied}: no relationship found between node 'n1' and this object`,
  );
  await api.close();
});
