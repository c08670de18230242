/** OpenAPI descriptions of what is served. */
import type { HttpRequest, HttpResponse } from '../base/http.ts';
import { noSuchPath } from './respond.ts';

export class OpenApi {
  handle(_request: HttpRequest, _rest: readonly string[]): HttpResponse {
    throw noSuchPath();
  }
}
