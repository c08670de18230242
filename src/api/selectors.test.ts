import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasReason } from '../base/status-error.ts';
import { parseFieldSelector } from './field-selector.ts';
import type { Event, Pod } from './gen/types.ts';
import { everything, matcherOfLabels, matcherOfSelector, nothing, parseLabelSelector } from './label-selector.ts';
import { resources } from './resources.ts';

function problemOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (hasReason(error, 'BadRequest')) return error.message;
    throw error;
  }
  return 'no error';
}

test('label selectors select by equality and by sets', () => {
  const labels = { app: 'web', tier: 'front', n: '5', in: 'x' };
  const rows: [string, boolean][] = [
    ['', true],
    ['app=web', true],
    ['app==web,tier=front', true],
    ['app = db', false],
    ['app!=db', true],
    ['missing!=db', true],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['!app', false],
    ['app in (web, db)', true],
    ['app notin (web)', false],
    ['missing notin (web)', true],
    ['app in (db),tier', false],
    ['n>4', true],
    ['n<5', false],
    ['in in (x)', true],
    ['missing=', false],
    ['app in ()', false],
    ['app in (,web)', true],
  ];
  for (const [text, matches] of rows) assert.equal(parseLabelSelector(text).matches(labels), matches, text);
  assert.equal(parseLabelSelector('a!=b').matches(undefined), true);
});

test('label selectors that cannot be read give the words of upstream', () => {
  const rows: [string, string][] = [
    ['app in web', "unable to parse requirement: found 'web' expected: '('"],
    ['app in (web', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ['app=web,', "found '', expected: identifier after ','"],
    ['=web', "found '=', expected: !, identifier, or 'end of string'"],
    ['a=b c', "found 'c', expected: ',' or 'end of string'"],
    ['!', "unable to parse requirement: found '', expected: identifier"],
    [
      'a>b',
      "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
    ],
  ];
  for (const [text, problem] of rows)
    assert.equal(
      problemOf(() => parseLabelSelector(text)),
      problem,
      text,
    );
  const badKey = problemOf(() => parseLabelSelector('a!b=c'));
  assert.match(badKey, /^unable to parse requirement: found '!', expected: in, notin/);
  const badName = problemOf(() => parseLabelSelector('-a=c'));
  assert.match(
    badName,
    /^unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric/,
  );
});

test('LabelSelector objects select too; none selects nothing, an empty one everything', () => {
  const matcher = matcherOfSelector({
    matchLabels: { app: 'web' },
    matchExpressions: [
      { key: 'tier', operator: 'NotIn', values: ['back'] },
      { key: 'old', operator: 'DoesNotExist' },
      { key: 'app', operator: 'Exists' },
    ],
  });
  assert.equal(matcher.matches({ app: 'web' }), true);
  assert.equal(matcher.matches({ app: 'web', tier: 'back' }), false);
  assert.equal(matcher.matches({ app: 'web', old: '1' }), false);
  assert.equal(matcherOfSelector(undefined), nothing);
  assert.equal(matcherOfSelector({}), everything);
  assert.equal(matcherOfLabels({ a: '1' }).matches({ a: '1', b: '2' }), true);
  assert.equal(
    problemOf(() => matcherOfSelector({ matchExpressions: [{ key: 'a', operator: 'Near' }] })),
    '"Near" is not a valid label selector operator',
  );
});

const pod: Pod = {
  metadata: { name: 'p', namespace: 'n' },
  spec: { containers: [], nodeName: 'node-1' },
  status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] },
};

test('field selectors select by the fields that their kind supports', () => {
  const rows: [string, boolean][] = [
    ['', true],
    ['metadata.name=p', true],
    ['metadata.name==p,spec.nodeName!=node-2', true],
    ['spec.nodeName=', false],
    ['status.phase!=Running', false],
    ['spec.hostNetwork=false', true],
    ['status.podIPs=10.0.0.1\\,fd00::1', true],
    ['status.nominatedNodeName=', true],
  ];
  for (const [text, matches] of rows) {
    assert.equal(parseFieldSelector(resources.pods, text).matches(pod), matches, text);
  }
  assert.equal(parseFieldSelector(resources.pods, 'metadata.name=p').exactValueOf('metadata.name'), 'p');
});

test('events are selected by what they are about', () => {
  const event: Event = {
    metadata: { name: 'e', namespace: 'n' },
    involvedObject: { kind: 'Pod', name: 'p', uid: 'u' },
    source: {},
    reportingComponent: 'kubelet',
    type: 'Warning',
  };
  const text = 'involvedObject.name=p,involvedObject.uid=u,source=kubelet,type!=Normal';
  const matcher = parseFieldSelector(resources.events, text);
  assert.equal(matcher.matches(event), true);
  assert.equal(matcher.exactValueOf('involvedObject.name'), 'p');
  assert.equal(matcher.exactValueOf('type'), undefined);
  assert.equal(parseFieldSelector(resources.eventsV1, 'regarding.name=').matches({}), true);
});

test('field selectors that cannot be used give the words of upstream', () => {
  assert.equal(
    problemOf(() => parseFieldSelector(resources.pods, 'spec.foo=1')),
    'field label not supported: spec.foo',
  );
  assert.equal(
    problemOf(() => parseFieldSelector(resources.leases, 'spec.foo=1')),
    '"spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
  );
  assert.equal(
    problemOf(() => parseFieldSelector(resources.pods, 'metadata.name')),
    "invalid selector: 'metadata.name'; can't understand 'metadata.name'",
  );
  assert.equal(
    problemOf(() => parseFieldSelector(resources.pods, 'metadata.name=a=b')),
    'invalid field selector: unescaped character in value: 61',
  );
  assert.equal(
    problemOf(() => parseFieldSelector(resources.pods, 'metadata.name=a\\b')),
    'invalid field selector: invalid escape sequence: \\b',
  );
  const named = { metadata: { name: 'a,b=c\\d' } };
  assert.equal(parseFieldSelector(resources.pods, 'metadata.name=a\\,b\\=c\\\\d').matches(named), true);
});
