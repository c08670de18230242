import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSelectedNode, matchesNodeTerm } from './node-selection.ts';

const node = { name: 'n1', labels: { zone: 'a', cores: '8', empty: '', word: 'eight' } };

test('Gt and Lt compare whole numbers of any size; what is none is neither', () => {
  const compare = (key: string, operator: string, value: string): boolean =>
    matchesNodeTerm({ matchExpressions: [{ key, operator, values: [value] }] }, node);
  const cases = [
    [true, 'cores', 'Gt', '7'],
    [false, 'cores', 'Gt', '8'],
    [true, 'cores', 'Lt', '99999999999999999999'],
    [false, 'empty', 'Gt', '-1'],
    [false, 'empty', 'Lt', '1'],
    [false, 'word', 'Gt', '1'],
    [false, 'cores', 'Gt', '7.5'],
    [false, 'absent', 'Lt', '1'],
  ] as const;
  for (const [expected, key, operator, value] of cases) {
    assert.equal(compare(key, operator, value), expected, `${key} ${operator} ${value}`);
  }
});

test('the selector and one of the terms must match; a term of fields knows only the name', () => {
  const byName = (key: string, value: string) => ({ matchFields: [{ key, operator: 'In', values: [value] }] });
  const required = (...nodeSelectorTerms: object[]) => ({ requiredNodes: { nodeSelectorTerms } });
  assert.equal(isSelectedNode({}, node), true);
  assert.equal(
    isSelectedNode({ nodeSelector: { zone: 'a' }, ...required({}, byName('metadata.name', 'n1')) }, node),
    true,
  );
  assert.equal(
    isSelectedNode({ nodeSelector: { zone: 'b' }, ...required(byName('metadata.name', 'n1')) }, node),
    false,
  );
  assert.equal(isSelectedNode(required(byName('spec.nodeName', 'n1')), node), false);
  assert.equal(isSelectedNode(required({}), node), false);
  assert.equal(isSelectedNode(required(), node), false);
});
