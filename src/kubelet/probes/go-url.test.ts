import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  goUrlText,
  goUrlTextForPeople,
  hostnameOf,
  parseGoUrl,
  portOf,
  requestTarget,
  resolveGoUrl,
} from './go-url.ts';

test('a URL is taken apart and written again as Go does', () => {
  const cases: readonly (readonly [text: string, written: string, target: string, hostname: string, port: number])[] = [
    ['http://a', 'http://a', '/', 'a', 80],
    ['https://a', 'https://a', '/', 'a', 443],
    ['HTTP://A:8080/x', 'http://A:8080/x', '/x', 'A', 8080],
    ['http://[::1]:80/', 'http://[::1]:80/', '/', '::1', 80],
    ['http://[fe80::1%25en0]:80/', 'http://[fe80::1%25en0]:80/', '/', 'fe80::1%en0', 80],
    ['http://a/?', 'http://a/?', '/?', 'a', 80],
    ['http://a?x=1#f', 'http://a?x=1#f', '/?x=1', 'a', 80],
    ['http://a/b%20c', 'http://a/b%20c', '/b%20c', 'a', 80],
    ['http://a/b%2Fc', 'http://a/b%2Fc', '/b%2Fc', 'a', 80],
    ['http://a/b c', 'http://a/b%20c', '/b%20c', 'a', 80],
    ['http://a/grün', 'http://a/gr%C3%BCn', '/gr%C3%BCn', 'a', 80],
    ['http://a/?q=grün', 'http://a/?q=grün', '/?q=grün', 'a', 80],
    ['http://a/../b/./c//d', 'http://a/../b/./c//d', '/../b/./c//d', 'a', 80],
    ['http://a/[x]', 'http://a/[x]', '/[x]', 'a', 80],
    ['http://a/{x}', 'http://a/%7Bx%7D', '/%7Bx%7D', 'a', 80],
    ['http://u:p@a/', 'http://u:p@a/', '/', 'a', 80],
    ['http:opaque?x', 'http:opaque?x', 'opaque?x', '', 80],
  ];
  for (const [text, written, target, hostname, port] of cases) {
    const parsed = parseGoUrl(text);
    assert.ok('url' in parsed, text);
    const { url } = parsed;
    assert.deepEqual(
      [goUrlText(url), requestTarget(url), hostnameOf(url), portOf(url)],
      [written, target, hostname, port],
    );
  }
});

test('what is no URL is refused in the words of Go', () => {
  const cases: readonly (readonly [text: string, error: string])[] = [
    ['/%zz', 'parse "/%zz": invalid URL escape "%zz"'],
    ['/a%', 'parse "/a%": invalid URL escape "%"'],
    ['/%4', 'parse "/%4": invalid URL escape "%4"'],
    ['a:b/c', ''],
    ['1:2', 'parse "1:2": first path segment in URL cannot contain colon'],
    [':x', 'parse ":x": missing protocol scheme'],
    ['/a\u007f', 'parse "/a\\x7f": net/url: invalid control character in URL'],
    ['http://a b/', 'parse "http://a b/": invalid character " " in host name'],
    ['http://a:b/', 'parse "http://a:b/": invalid port ":b" after host'],
    ['http://[::1/', 'parse "http://[::1/": missing \']\' in host'],
    ['http://a%2f/', 'parse "http://a%2f/": invalid URL escape "%2f"'],
    ['http://u"@a/', 'parse "http://u\\"@a/": net/url: invalid userinfo'],
  ];
  for (const [text, error] of cases) {
    const parsed = parseGoUrl(text);
    assert.equal('error' in parsed ? parsed.error : '', error, text);
  }
});

test('a reference is resolved against a base', () => {
  const cases: readonly (readonly [base: string, reference: string, resolved: string])[] = [
    ['http://a:1/b/c?q#f', 'd', 'http://a:1/b/d'],
    ['http://a:1/b/c?q#f', '', 'http://a:1/b/c?q#f'],
    ['http://a:1/b/c?q#f', '?x', 'http://a:1/b/c?x'],
    ['http://a:1/b/c?q#f', '#g', 'http://a:1/b/c?q#g'],
    ['http://a:1/b/c', '/d/../e', 'http://a:1/e'],
    ['http://a:1/b/c', '../../d', 'http://a:1/d'],
    ['http://a:1/b/c', '..', 'http://a:1/'],
    ['http://a:1/b/c', './', 'http://a:1/b/'],
    ['http://a:1/b/c', '//other/x', 'http://other/x'],
    ['http://a:1/b/c', 'https://other', 'https://other'],
    ['http://u:p@a/b', '/c', 'http://u:p@a/c'],
    ['http://a', 'b', 'http://a/b'],
    ['http://a/b', '/c%2Fd', 'http://a/c%2Fd'],
  ];
  for (const [base, reference, expected] of cases) {
    const parsed = parseGoUrl(base);
    assert.ok('url' in parsed);
    const resolved = resolveGoUrl(parsed.url, reference);
    assert.equal('url' in resolved ? goUrlText(resolved.url) : resolved.error, expected, `${base} + ${reference}`);
  }
});

test('a password is not shown to people', () => {
  const parsed = parseGoUrl('http://user:secret@a/b?c');
  assert.ok('url' in parsed);
  assert.equal(goUrlTextForPeople(parsed.url), 'http://user:***@a/b?c');
});
