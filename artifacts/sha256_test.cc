// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/sha256.h"

#include "gtest/gtest.h"

namespace wattle::artifacts {
namespace {

// FIPS 180-4, examples of SHA-256.
TEST(Sha256Test, AgreesWithThePublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, StreamInPiecesAgreesWithWhole) {
  Sha256Stream stream;
  stream.Update("a");
  stream.Update("");
  stream.Update("bc");
  EXPECT_EQ(stream.FinishHex(), Sha256Hex("abc"));
}

}  // namespace
}  // namespace wattle::artifacts
