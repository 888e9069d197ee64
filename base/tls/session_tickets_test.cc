// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/session_tickets.h"

#include <cstdlib>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <openssl/ssl.h>

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/credentials.h"
#include "base/tls/private_file.h"

namespace wattle::tls {
namespace {

std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> NewServer() {
  return {SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
}

TEST(SessionTicketsTest, AServerOfGrpcSendsNone) {
  (void)ServerCredentials(
      {.key_path = "/nonexistent/key.pem", .chain_path = "/nonexistent/chain.pem"}, FixedRoots(""));
  EXPECT_EQ(SSL_CTX_get_num_tickets(NewServer().get()), 0U);
}

TEST(SessionTicketsTest, WhatTheMachineSaysOfTlsStays) {
  const TestDirectory directory;
  ASSERT_THAT(WritePrivateFile(directory.File("openssl.cnf"),
                               "openssl_conf = all\n[all]\nssl_conf = tls\n"
                               "[tls]\nsystem_default = hardened\n"
                               "[hardened]\nMinProtocol = TLSv1.3\n"),
              IsOk());
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  setenv("OPENSSL_CONF", directory.File("openssl.cnf").c_str(), 1);
  ASSERT_THAT(SendNoSessionTickets(), IsOk());
  EXPECT_EQ(SSL_CTX_get_min_proto_version(NewServer().get()), TLS1_3_VERSION);
  EXPECT_EQ(SSL_CTX_get_num_tickets(NewServer().get()), 0U);
}

}  // namespace
}  // namespace wattle::tls
