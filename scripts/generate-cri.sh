#!/bin/sh
# Makes src/cri/grpc/gen/ from src/cri/grpc/proto/. Needs protoc (Debian: protobuf-compiler) and, once, npm's registry.
# With --check: writes nothing, fails if gen/ is stale.
set -eu
cd "$(dirname "$0")/.."
# The oldest version of the library that package.json admits.
plugin=@bufbuild/protoc-gen-es@2.12.0
out=src/cri/grpc/gen
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npx --yes --package "$plugin" -- protoc --proto_path=src/cri/grpc/proto --es_out="$work" \
  --es_opt=target=ts,import_extension=ts src/cri/grpc/proto/*.proto
if [ "${1:-}" = --check ]; then
  diff -r "$work" "$out"
else
  rm -rf "$out"
  mkdir -p "$out"
  cp "$work"/*.ts "$out"
fi
