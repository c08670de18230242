import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admitPod } from '../admission.ts';
import { decode } from '../decode.ts';
import { applyDefaults } from '../defaulting.ts';
import type { Draft } from '../draft.ts';
import { fieldErrorText } from '../field-error.ts';
import type { Pod } from '../gen/types.ts';
import { resources } from '../resources.ts';
import { validateCreate } from './validate.ts';

type Fields = Readonly<Record<string, unknown>>;

function podOf(spec: Fields, meta: Fields = {}): Draft<Pod> {
  const manifest = { metadata: { name: 'p', namespace: 'n', ...meta }, spec };
  const { object } = decode<Pod>('Pod', manifest, 'Strict');
  applyDefaults(resources.pods, object);
  admitPod(object);
  return object;
}

function problemsOf(pod: Pod): string[] {
  return validateCreate(resources.pods, pod).map(fieldErrorText);
}

/** A pod whose only container has these fields too. */
function withContainer(container: Fields, spec: Fields = {}): string[] {
  return problemsOf(podOf({ containers: [{ name: 'c', image: 'i', ...container }], ...spec }));
}

function withSpec(spec: Fields): string[] {
  return withContainer({}, spec);
}

const c0 = 'spec.containers[0]';
const label63 = 'a'.repeat(63);

test('a plain pod has nothing wrong', () => {
  assert.deepEqual(withContainer({}), []);
});

test('probes are checked for each type, in upstream order', () => {
  const probe = { httpGet: { port: 'web', scheme: 'HTTPS', httpHeaders: [{ name: 'a b', value: '' }] } };
  assert.deepEqual(withContainer({ readinessProbe: probe }), [
    `${c0}.readinessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')`,
  ]);
  assert.deepEqual(
    withContainer({ startupProbe: { tcpSocket: { port: 'a--very-long-name-' }, successThreshold: -1 } }),
    [
      `${c0}.startupProbe.tcpSocket.port: Invalid value: "a--very-long-name-": must be no more than 15 characters`,
      `${c0}.startupProbe.tcpSocket.port: Invalid value: "a--very-long-name-": must not contain consecutive hyphens`,
      `${c0}.startupProbe.tcpSocket.port: Invalid value: "a--very-long-name-": must not begin or end with a hyphen`,
      `${c0}.startupProbe.successThreshold: Invalid value: -1: must be greater than or equal to 0`,
      `${c0}.startupProbe.successThreshold: Invalid value: -1: must be 1`,
    ],
  );
  assert.deepEqual(withContainer({ livenessProbe: { tcpSocket: { port: '' } } }), [
    `${c0}.livenessProbe.tcpSocket.port: Invalid value: "": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
    `${c0}.livenessProbe.tcpSocket.port: Invalid value: "": must contain at least one letter (a-z)`,
  ]);
  assert.deepEqual(withContainer({ livenessProbe: { exec: {}, httpGet: {}, grpc: {} } }), [
    `${c0}.livenessProbe.exec.command: Required value`,
    `${c0}.livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type`,
    `${c0}.livenessProbe.grpc: Forbidden: may not specify more than 1 handler type`,
  ]);
  assert.deepEqual(withContainer({ livenessProbe: { grpc: { port: 70_000 } } }), [
    `${c0}.livenessProbe.grpc.port: Invalid value: 70000: must be between 1 and 65535, inclusive`,
  ]);
});

test('hooks need one handler, and a sleep must fit in the grace period', () => {
  assert.deepEqual(withContainer({ lifecycle: { preStop: {}, postStart: { sleep: { seconds: 99 } } } }), [
    `${c0}.lifecycle.postStart.sleep: Invalid value: 99: must be non-negative and less than terminationGracePeriodSeconds (30)`,
    `${c0}.lifecycle.preStop: Required value: must specify a handler type`,
  ]);
});

test('containers need unique names, images, ports that fit and known policies', () => {
  const containers = [
    { name: 'a', image: 'i', ports: [{ containerPort: 80, hostPort: 80 }] },
    { name: 'a', image: ' i', imagePullPolicy: 'Soon', restartPolicy: 'Always', terminationMessagePolicy: 'Log' },
    {
      name: 'B_',
      image: 'i',
      ports: [
        { containerPort: 0, name: 'x' },
        { containerPort: 80, hostPort: 80, name: 'x' },
        { containerPort: 81, protocol: 'tcp' },
      ],
    },
  ];
  assert.deepEqual(problemsOf(podOf({ containers })), [
    'spec.containers[1].terminationMessagePolicy: Unsupported value: "Log": supported values: "File", "FallbackToLogsOnError"',
    'spec.containers[1].imagePullPolicy: Unsupported value: "Soon": supported values: "Always", "IfNotPresent", "Never"',
    'spec.containers[1].name: Duplicate value: "a"',
    'spec.containers[1].restartPolicy: Forbidden: may not be set for non-init containers',
    `spec.containers[2].name: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
    'spec.containers[2].ports[0].containerPort: Required value',
    'spec.containers[2].ports[1].name: Duplicate value: "x"',
    'spec.containers[2].ports[2].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    'spec.containers[2].ports[1].hostPort: Duplicate value: "TCP//80"',
    'spec.containers[1].image: Invalid value: " i": must not have leading or trailing whitespace',
  ]);
});

test('init containers have no probes unless they are sidecars, and ephemeral ones come later', () => {
  const initContainers = [
    { name: 'i', image: 'i', readinessProbe: { exec: { command: ['x'] } }, lifecycle: {} },
    { name: 's', image: 'i', restartPolicy: 'Always', readinessProbe: { exec: {} } },
    { name: 'c', image: 'i', restartPolicy: 'Never' },
  ];
  assert.deepEqual(withSpec({ initContainers }), [
    'spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always',
    'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    'spec.initContainers[1].readinessProbe.exec.command: Required value',
    'spec.initContainers[2].restartPolicy: Unsupported value: "Never": supported values: "Always"',
    'spec.initContainers[2].name: Duplicate value: "c"',
  ]);
  const ephemeralContainers = [{ name: 'e', image: 'i', targetContainerName: 'x', ports: [{ containerPort: 1 }] }];
  assert.deepEqual(withSpec({ ephemeralContainers }), [
    'spec.ephemeralContainers[0].targetContainerName: Not found: "x"',
    'spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container',
    'spec.ephemeralContainers: Forbidden: cannot be set on create',
  ]);
});

test('variables need a name and one source', () => {
  const env = [
    { name: '' },
    { name: 'a=b' },
    { name: 'A', valueFrom: {} },
    { name: 'B', value: 'x', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'C', valueFrom: { fieldRef: { fieldPath: 'spec.foo' } } },
    { name: 'D', valueFrom: { fieldRef: { fieldPath: 'metadata.labels' } } },
    { name: 'E', valueFrom: { resourceFieldRef: { resource: 'limits.gpu' }, configMapKeyRef: { name: 'X', key: '' } } },
    { name: 'F', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '2' } } },
  ];
  const at = (index: number): string => `${c0}.env[${index}]`;
  const subdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
  assert.deepEqual(withContainer({ env }), [
    `${at(0)}.name: Required value`,
    `${at(1)}.name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='`,
    `${at(2)}.valueFrom: Invalid value: "": must specify one of: \`fieldRef\`, \`resourceFieldRef\`, \`configMapKeyRef\` or \`secretKeyRef\``,
    `${at(3)}.valueFrom: Invalid value: "": may not be specified when \`value\` is not empty`,
    `${at(4)}.valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: field label not supported: spec.foo`,
    `${at(5)}.valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
    `${at(6)}.valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"`,
    `${at(6)}.valueFrom.configMapKeyRef.name: Invalid value: "X": ${subdomain}`,
    `${at(6)}.valueFrom.configMapKeyRef.key: Required value`,
    `${at(6)}.valueFrom: Invalid value: "": may not have more than one field specified at a time`,
    `${at(7)}.valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
  ]);
  assert.deepEqual(withContainer({ envFrom: [{}, { configMapRef: {} }] }), [
    `${c0}.envFrom: Invalid value: "": must specify one of: \`configMapRef\` or \`secretRef\``,
    `${c0}.envFrom[1].configMapRef.name: Required value`,
  ]);
});

test('amounts must be known, whole where they must be, and within their limits', () => {
  const limits = { cpu: '-1', 'example.com/gpu': '1500m', memory: '1Gi', gpu: '1' };
  const requests = { memory: '2Gi', 'example.com/fpga': '1', 'example.com/gpu': '1' };
  // The order is that of the maps, which in Go is random.
  const problems = withContainer({ resources: { limits, requests } }).sort();
  assert.deepEqual(
    problems,
    [
      `${c0}.resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
      `${c0}.resources.limits[example.com/gpu]: Invalid value: "1500m": must be an integer`,
      `${c0}.resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified`,
      `${c0}.resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers`,
      `${c0}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0`,
      `${c0}.resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 1500m`,
      `${c0}.resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified`,
      `${c0}.resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers`,
      `${c0}.resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi`,
      `${c0}.resources.limits: Required value: Limit must be set for non overcommitable resources`,
    ].sort(),
  );
});

test('volumes need one known source each, and mounts need a volume', () => {
  const volumes = [
    { name: 'A', emptyDir: {} },
    { name: 'two', emptyDir: {}, hostPath: { path: '/x' } },
    { name: 'h', hostPath: { path: '/a/../b', type: 'Door' } },
    { name: 's', secret: { items: [{ key: 'k', path: '../x' }], defaultMode: 1_000 } },
    { name: 'd', downwardAPI: { items: [{ path: '..x' }] } },
    { name: 'n', nfs: { server: '', path: 'rel' } },
    { name: 'ok', emptyDir: {} },
    { name: 'ok', emptyDir: {} },
  ];
  const volumeMounts = [
    { name: 'ok', mountPath: '/a', subPath: '/abs' },
    { name: 'ok', mountPath: '/a' },
    { name: 'two', mountPath: '', mountPropagation: 'Bidirectional' },
  ];
  const label =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  const v = (index: number): string => `spec.volumes[${index}]`;
  assert.deepEqual(withContainer({ volumeMounts }, { volumes }), [
    `${v(0)}.name: Invalid value: "A": ${label}`,
    `${v(1)}.hostPath: Forbidden: may not specify more than 1 volume type`,
    `${v(2)}.hostPath.path: Invalid value: "/a/../b": must not contain '..'`,
    `${v(2)}.hostPath.type: Unsupported value: "Door": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"`,
    `${v(3)}.secret.secretName: Required value`,
    `${v(3)}.secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive`,
    `${v(3)}.secret.items[0].path: Invalid value: "../x": must not contain '..'`,
    `${v(4)}.downwardAPI.path: Invalid value: "..x": must not start with '..'`,
    `${v(4)}.downwardAPI: Required value: one of fieldRef and resourceFieldRef is required`,
    `${v(5)}.nfs.server: Required value`,
    `${v(5)}.nfs.path: Invalid value: "rel": must be an absolute path`,
    `${v(7)}.name: Duplicate value: "ok"`,
    `${c0}.volumeMounts.subPath: Invalid value: "/abs": must be a relative path`,
    `${c0}.volumeMounts[1].mountPath: Invalid value: "/a": must be unique`,
    `${c0}.volumeMounts[2].name: Not found: "two"`,
    `${c0}.volumeMounts[2].mountPath: Required value`,
    `${c0}.volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers`,
  ]);
});

test('a projected volume has one kind of content in each source, and no two for one file', () => {
  const volumes = [
    {
      name: 'p',
      projected: {
        sources: [
          { secret: { name: 's', items: [{ key: 'a', path: 'f' }] }, configMap: { items: [{ key: 'a', path: 'f' }] } },
          { serviceAccountToken: { path: '', expirationSeconds: 60 } },
        ],
      },
    },
  ];
  const p = 'spec.volumes[0].projected';
  assert.deepEqual(withSpec({ volumes }), [
    `${p}.sources[0].configMap.name: Required value`,
    `${p}: Invalid value: "": conflicting duplicate paths`,
    `${p}.sources[0]: Forbidden: may not specify more than 1 volume type per source`,
    `${p}.sources[1].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes`,
    `${p}.path: Required value`,
  ]);
});

test('what the pod as a whole says is checked too', () => {
  const spec = {
    dnsPolicy: 'None',
    nodeSelector: { 'a b': 'c' },
    activeDeadlineSeconds: 0,
    hostname: 'Not.a.label',
    tolerations: [{ operator: 'Equal' }, { key: 'k', tolerationSeconds: 1 }, { key: 'k', operator: 'Near' }],
    hostAliases: [{ ip: 'nowhere', hostnames: ['UP'] }],
    hostNetwork: true,
    hostUsers: false,
    securityContext: { runAsUser: -1, sysctls: [{ name: 'net.ipv4.x', value: '1' }] },
    schedulingGates: [{ name: 'a' }, { name: 'a' }],
    nodeName: 'node',
    preemptionPolicy: 'Maybe',
    os: { name: 'beos' },
  };
  const problems = withContainer({ ports: [{ containerPort: 80, hostPort: 81 }] }, spec);
  const expected = [
    'spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true',
    "spec.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    'spec.securityContext.sysctls[0].name: Invalid value: "net.ipv4.x": may not be specified when \'hostNetwork\' is true',
    'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None',
    'spec.schedulingGates[1]: Duplicate value: "a"',
    'spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false',
    'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
    'spec.tolerations[1].effect: Invalid value: "": effect must be \'NoExecute\' when `tolerationSeconds` is set',
    'spec.tolerations[2].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
    'spec.hostAliases[0].ip: Invalid value: "nowhere": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    'spec.preemptionPolicy: Unsupported value: "Maybe": supported values: "PreemptLowerPriority", "Never"',
    'spec.os.name: Unsupported value: "beos": supported values: "linux", "windows"',
    'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
  ];
  for (const text of expected) assert.ok(problems.includes(text), `${text}\nnot in\n${problems.join('\n')}`);
  // The other two are of hostname and of the alias's name: their texts are tested elsewhere.
  assert.equal(problems.length, expected.length + 2);
});

test('affinity and spreading are checked down to their terms', () => {
  const affinity = {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] },
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 0, preference: { matchExpressions: [{ key: 'k', operator: 'In' }] } },
      ],
    },
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone', matchLabelKeys: ['a'] }],
    },
  };
  const spread = { maxSkew: 0, topologyKey: 'zone', whenUnsatisfiable: 'Later', minDomains: 2 };
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const preferred = 'preferredDuringSchedulingIgnoredDuringExecution[0]';
  const s0 = 'spec.topologySpreadConstraints[0]';
  assert.deepEqual(withSpec({ affinity, topologySpreadConstraints: [spread] }), [
    `spec.affinity.nodeAffinity.${required}.nodeSelectorTerms: Required value: must have at least one node selector term`,
    `spec.affinity.nodeAffinity.${preferred}.weight: Invalid value: 0: must be in the range 1-100`,
    `spec.affinity.nodeAffinity.${preferred}.preference.matchExpressions[0].values: Required value: must be specified when \`operator\` is 'In' or 'NotIn'`,
    `spec.affinity.podAntiAffinity.${required}[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set`,
    `${s0}.maxSkew: Invalid value: 0: must be greater than zero`,
    `${s0}.whenUnsatisfiable: Unsupported value: "Later": supported values: "DoNotSchedule", "ScheduleAnyway"`,
    `${s0}.minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not Later`,
  ]);
});

test('security contexts are checked for contradictions', () => {
  const securityContext = {
    runAsGroup: 2 ** 31,
    privileged: true,
    allowPrivilegeEscalation: false,
    seccompProfile: { type: 'Localhost' },
    appArmorProfile: { type: 'Loose' },
    procMount: 'Unmasked',
  };
  const at = `${c0}.securityContext`;
  const problems = withContainer({ securityContext });
  assert.deepEqual(
    problems.filter((text) => !text.includes('cannot set')),
    [
      `${at}.runAsGroup: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive`,
      `${at}.procMount: Invalid value: "Unmasked": \`hostUsers\` must be false to use \`Unmasked\``,
      `${at}.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost`,
      `${at}.appArmorProfile.type: Unsupported value: "Loose": supported values: "Localhost", "RuntimeDefault", "Unconfined"`,
    ],
  );
  assert.equal(problems.filter((text) => text.includes('cannot set `allowPrivilegeEscalation` to false')).length, 1);
});

test('metadata is checked as for every kind', () => {
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u', controller: true };
  const meta = {
    name: 'p',
    generateName: 'Bad-',
    labels: { [`${label63}a`]: 'x', ok: '-x' },
    annotations: { 'a/b/c': '', UPPER: 'fine' },
    ownerReferences: [owner, { ...owner, kind: '', uid: '' }],
    finalizers: ['odd', 'orphan', 'foregroundDeletion'],
  };
  const problems = problemsOf(podOf({ containers: [{ name: 'c', image: 'i' }] }, meta));
  const expected = [
    /^metadata\.generateName: Invalid value: "Bad-": a lowercase RFC 1123 subdomain/,
    /^metadata\.labels: Invalid value: "a{64}": name part must be no more than 63 characters$/,
    /^metadata\.labels: Invalid value: "-x": a valid label must be an empty string or consist of/,
    /^metadata\.annotations: Invalid value: "a\/b\/c": a qualified name must consist of .* with an optional DNS subdomain prefix and '\/' \(e\.g\. 'example\.com\/MyName'\)$/,
    /^metadata\.ownerReferences\.kind: Invalid value: "": must not be empty$/,
    /^metadata\.ownerReferences\.uid: Invalid value: "": must not be empty$/,
    /^metadata\.ownerReferences: Invalid value: \[.*\]: Only one reference can .* for Node\/n and \/n$/,
    /^metadata\.finalizers: Invalid value: \["odd","orphan","foregroundDeletion"\]: finalizer orphan and foregroundDeletion cannot be both set$/,
    /^metadata\.finalizers\[0\]: Invalid value: "odd": name is neither a standard .* nor is it fully qualified$/,
  ];
  assert.equal(problems.length, expected.length, problems.join('\n'));
  expected.forEach((pattern, index) => assert.match(problems[index] ?? '', pattern));
});
