#!/bin/sh
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A pre-receive hook as one would write it: it believes what git says of a signature. The file naive-mode in the
# repository says how it looks:
#   all   git verify-commit for each commit that is not in the repository yet
#   tip   git verify-commit for the tip
#   u     %G? is G or U for each commit that is not in the repository yet
#   tree  as all, with the list of signers that the pushed tree holds
mode=$(cat naive-mode)
signers=$(cat naive-signers)
while read -r _old new ref; do
  case $ref in refs/heads/main | refs/heads/release/*) ;; *) continue ;; esac
  commits=$(git rev-list "$new" --not --all)
  [ "$mode" = tip ] && commits=$new
  if [ "$mode" = tree ]; then
    own=$(mktemp)
    git show "$new:.allowed_signers" >"$own" 2>/dev/null && signers=$own
  fi
  for commit in $commits; do
    if [ "$mode" = u ]; then
      case $(git -c gpg.ssh.allowedSignersFile="$signers" log -1 --format=%G? "$commit") in G | U) ;; *) exit 1 ;; esac
    else
      git -c gpg.ssh.allowedSignersFile="$signers" verify-commit "$commit" || exit 1
    fi
  done
done
exit 0
