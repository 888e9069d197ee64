// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
