// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What an attacker who uploads needs: the manifest of one small file, and its bytes sent.
#ifndef WATTLE_TESTS_ATTACKS_PUSH_FOR_TEST_H_
#define WATTLE_TESTS_ATTACKS_PUSH_FOR_TEST_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/artifact.grpc.pb.h"

namespace wattle::attacks {

inline v1::Manifest ManifestOf(const std::string& text) {
  v1::Manifest manifest;
  v1::ManifestFile& file = *manifest.add_files();
  file.set_path("model.safetensors");
  file.set_size_bytes(static_cast<int64_t>(text.size()));
  file.add_chunk_sha256(tls::Sha256(text));
  return manifest;
}

inline absl::Status PutChunk(v1::ArtifactService::Stub& stub, const std::string& text) {
  grpc::ClientContext context;
  rpc::SetDeadline(context);
  v1::PutChunksResponse received;
  const auto writer = stub.PutChunks(&context, &received);
  v1::PutChunkRequest chunk;
  chunk.set_sha256(tls::Sha256(text));
  chunk.set_data(text);
  writer->Write(chunk);
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

}  // namespace wattle::attacks

#endif  // WATTLE_TESTS_ATTACKS_PUSH_FOR_TEST_H_
