// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/session_tickets.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "base/file.h"
#include "base/tls/openssl_internal.h"

namespace wattle::tls {
namespace {

using Config = std::unique_ptr<CONF, Freer<NCONF_free>>;

// Null where the text is no configuration.
Config ReadConfig(const std::string& text) {
  Config config(NCONF_new(nullptr));
  long line = 0;  // NOLINT(google-runtime-int): OpenSSL's type
  return config != nullptr && NCONF_load_bio(config.get(), Reader(text).get(), &line) == 1
             ? std::move(config)
             : nullptr;
}

// The name of the section that holds for every program of the machine; "wattle_all" where it has
// none.
std::string SectionForAll(const std::string& machines) {
  std::string section;
  const Config config = ReadConfig(machines);
  const char* name =
      config == nullptr ? nullptr : NCONF_get_string(config.get(), nullptr, "openssl_conf");
  for (const char* word : {"ssl_conf", "system_default"}) {
    section = name == nullptr ? "" : name;
    name = name == nullptr ? nullptr : NCONF_get_string(config.get(), section.c_str(), word);
  }
  ERR_clear_error();
  return name == nullptr ? "wattle_all" : name;
}

}  // namespace

absl::Status SendNoSessionTickets() {
  OPENSSL_init_ssl(0, nullptr);  // Reads the machine's configuration, which would come later else.
  char* const path = CONF_get1_default_config_file();
  const std::string machines = ReadWholeFile(path == nullptr ? "" : path).value_or("");
  OPENSSL_free(path);
  const std::string all = SectionForAll(machines);
  const Config config = ReadConfig(absl::StrCat(
      "wattle = wattle_modules\n", machines, "\n[wattle_modules]\nssl_conf = wattle_ssl\n",
      "[wattle_ssl]\nsystem_default = ", all, "\n[", all, "]\nNumTickets = 0\n"));
  if (config == nullptr || CONF_modules_load(config.get(), "wattle", 0) != 1) {
    return Failed("configuration without session tickets");
  }
  return absl::OkStatus();
}

}  // namespace wattle::tls
