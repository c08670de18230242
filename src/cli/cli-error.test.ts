import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from '../base/status-error.ts';
import { CliError, errorText, ManyErrors, withSource } from './cli-error.ts';

const notFound = new StatusError('NotFound', 'pods "nosuch" not found');
const refused = new StatusError(
  'ServiceUnavailable',
  'Get "https://127.0.0.1:1/api": dial tcp 127.0.0.1:1: connect: connection refused',
  {
    cause: new Error('ECONNREFUSED'),
  },
);

test('an error of the server names its reason', () => {
  assert.equal(errorText(notFound), 'Error from server (NotFound): pods "nosuch" not found\n');
});

test('a server that is not there is named by its address', () => {
  const text = 'The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?\n';
  assert.equal(errorText(refused), text);
  assert.equal(errorText(withSource('creating', 'x.yaml', refused)), text);
});

test('other trouble on the way to the server has the text of Go', () => {
  const lookup = new StatusError(
    'ServiceUnavailable',
    'Get "https://nosuch/api": dial tcp: lookup nosuch: no such host',
    {
      cause: new Error('ENOTFOUND'),
    },
  );
  assert.equal(errorText(lookup), 'Unable to connect to the server: dial tcp: lookup nosuch: no such host\n');
});

test('a 503 that the server itself answered is an error from the server', () => {
  assert.equal(
    errorText(new StatusError('ServiceUnavailable', 'starting')),
    'Error from server (ServiceUnavailable): starting\n',
  );
});

test('who is not let in is told to log in', () => {
  assert.equal(
    errorText(new StatusError('Unauthorized', 'Unauthorized')),
    'error: You must be logged in to the server (Unauthorized)\n',
  );
});

test('one cause of an invalid object is on its line, several are listed, each once', () => {
  const cause = (field: string): object => ({ field, message: 'Required value' });
  const invalid = (...fields: readonly string[]): StatusError =>
    new StatusError('Invalid', 'ignored', { details: { kind: 'Pod', name: 'x', causes: fields.map(cause) } });
  assert.equal(errorText(invalid('a')), 'The Pod "x" is invalid: a: Required value\n');
  assert.equal(
    errorText(invalid('a', 'b', 'a')),
    'The Pod "x" is invalid: \n* a: Required value\n* b: Required value\n',
  );
});

test('several errors are a line each', () => {
  assert.equal(
    errorText(new ManyErrors([notFound, new CliError('other')])),
    'Error from server (NotFound): pods "nosuch" not found\nother\n',
  );
});

test('anything else is printed after the word error, once', () => {
  assert.equal(errorText(new CliError('bad')), 'error: bad\n');
  assert.equal(errorText(new Error('error: bad')), 'error: bad\n');
  assert.equal(errorText(new CliError('Bad.', { verbatim: true })), 'Bad.\n');
});
