# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that talk to object storage."""

from __future__ import annotations


class ModuleDocFragment:
    """Texts that modules include by name."""

    # How to reach the store; the names are those of amazon.aws.
    DOCUMENTATION = r"""
options:
  access_key:
    description: Access key. Without it boto3 looks into its environment, profiles and instance roles.
    type: str
    aliases: [aws_access_key_id, aws_access_key]
  secret_key:
    description: Secret key that belongs to O(access_key).
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
  session_token:
    description: Session token of temporary credentials.
    type: str
    aliases: [aws_session_token]
  profile:
    description: Profile of boto3's configuration files.
    type: str
    aliases: [aws_profile]
  region:
    description: Region to begin in. Buckets of other regions are reached where they are.
    type: str
    aliases: [aws_region]
  endpoint_url:
    description: Address of a store other than AWS.
    type: str
    aliases: [aws_endpoint_url]
  aws_ca_bundle:
    description: File with the certificate authorities to trust.
    type: path
  validate_certs:
    description: Whether the store must show a valid certificate.
    type: bool
    default: true
  assume_role_arn:
    description: Role to assume with these credentials.
    type: str
  assume_role_external_id:
    description: External id that the role asks for.
    type: str
  max_workers:
    description: Buckets that are worked on at the same time.
    type: int
    default: 16
requirements:
  - boto3 1.36 or newer where the module runs
attributes:
  platform:
    description: Where the module runs; usually the controller, with C(connection=local).
    support: full
    platforms: posix
"""

    # What a bucket shall be like.
    POLICY = r"""
options:
  policy:
    description: What the buckets shall be like. What is not given is left alone.
    type: dict
    suboptions: &policy
      acl:
        description:
          - V(private) leaves rights to the owner alone.
          - Without O(policy.ownership) it also disables ACLs, which is the same for good.
        type: str
        choices: [private]
      ownership:
        description: Who owns an object that somebody else wrote; V(preserve) leaves it as it is with O(policy.acl).
        type: str
        choices: [BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter, preserve]
      public_access_block:
        description: V(true) turns all four blocks of public access on; V(false) needs an exception.
        type: bool
      encryption:
        description: Default encryption of new objects.
        type: dict
        suboptions:
          algorithm:
            description: How to encrypt.
            type: str
            choices: [AES256, aws:kms, aws:kms:dsse]
            required: true
          kms_key_id:
            description: Key of KMS as an ARN, an id or an alias; the account's own when not given.
            type: str
          bucket_key:
            description: Use a key for the bucket, which saves requests to KMS.
            type: bool
      deny_insecure_transport:
        description: Deny plain HTTP by a statement of ours in the bucket's policy; V(false) removes that statement.
        type: bool
      minimum_tls:
        description: Deny older TLS by a statement of ours in the bucket's policy; V(none) removes that statement.
        type: str
        choices: ["1.2", "1.3", none]
      versioning:
        description: Whether old versions of objects are kept.
        type: str
        choices: [enabled, suspended]
      logging:
        description: Where requests are logged. The target must let C(logging.s3.amazonaws.com) write.
        type: dict
        suboptions:
          bucket:
            description: Bucket that takes the logs; itself it is not logged.
            type: str
            required: true
          prefix:
            description: What the logs' names begin with; C({bucket}) stands for the bucket's name.
            type: str
            default: "{bucket}/"
      abort_incomplete_multipart_days:
        description: Days after which our lifecycle rule removes an unfinished upload; V(0) removes the rule.
        type: int
  overrides:
    description: Differences for some buckets; a later entry counts more.
    type: list
    elements: dict
    default: []
    suboptions:
      buckets:
        description: Names or patterns.
        type: list
        elements: str
        required: true
      <<: *policy
  exceptions:
    description:
      - Controls that are given up for some buckets until a day. The setting stays as it is, and the report says why.
      - After that day the control fails until the exception is renewed or removed.
    type: list
    elements: dict
    default: []
    suboptions:
      bucket:
        description: Name or pattern.
        type: str
        required: true
      control:
        description: Id of the control, such as V(bucket.public_access).
        type: str
        required: true
      reason:
        description: Why, in a sentence.
        type: str
        required: true
      expires:
        description: Last day, as V(2027-06-30).
        type: str
        required: true
"""
