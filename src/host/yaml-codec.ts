/** YAML bodies for the API server, through the package `yaml`. */
import { parse, stringify } from 'yaml';
import type { YamlCodec } from '../apiserver/request-body.ts';

/**
 * One document; repeated keys are an error, and so are more than 100 aliases (a few lines could else fill the
 * memory).
 */
export const yamlCodec: YamlCodec = {
  parse(text) {
    // A round trip leaves only what JSON has: no dates, no NaN, no shared parts.
    const value: unknown = parse(text, { maxAliasCount: 100, logLevel: 'error', prettyErrors: false });
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
  },
  stringify: (value) => stringify(value, { aliasDuplicateObjects: false, version: '1.1' }), // quotes times
};
