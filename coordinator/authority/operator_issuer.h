// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An issuing key that lies outside of the authority's folder: of a CA of the operator's, or the
// fleet's own as a credential of the service manager.
#ifndef WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_
#define WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace wattle::authority {

// Paths, as --issuer-key and --issuer-cert name them.
struct OperatorIssuer {
  std::string key_path = {};    // Empty: the key is in the authority's folder.
  std::string chain_path = {};  // Empty: the certificates are there, and the root is the fleet's.
  // The key is a file of the service manager, which shows the mask of an access list as the rights
  // of a group.
  bool key_is_credential = false;
};

// The key in PEM. Errors: kInvalidArgument, one line with the flag: cannot be read, others may read
// it, no key.
absl::StatusOr<std::string> ReadIssuerKey(const OperatorIssuer& issuer);

struct IssuerChain {
  std::string root_pem;
  std::string issuer_pem;  // The issuer, and what leads from it to the root.
};
// key_pem: of the issuer. Signs a certificate for nobody, and follows it to the root as a program
// of the fleet would. Errors: kInvalidArgument, one line with the flag: cannot be read, no root, of
// another key, may not sign, does not lead to the root, expired.
absl::StatusOr<IssuerChain> ReadIssuerChain(const OperatorIssuer& issuer,
                                            const std::string& key_pem, absl::Time now);

}  // namespace wattle::authority

#endif  // WATTLE_COORDINATOR_AUTHORITY_OPERATOR_ISSUER_H_
