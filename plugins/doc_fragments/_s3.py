# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for object storage."""

from __future__ import annotations


class ModuleDocFragment:
    """Texts that modules include by name."""

    # Options for the connection to the store, named as in amazon.aws.
    DOCUMENTATION = r"""
options:
  access_key:
    description: Access key. Without it, boto3 uses its environment variables, profiles or the instance role.
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
    description: Region of the first request. Requests for a bucket go to its own region.
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
    description: External id that the role requires.
    type: str
  max_workers:
    description: Number of buckets that are processed at the same time.
    type: int
    default: 16
requirements:
  - boto3 1.36 or newer where the module runs
attributes:
  platform:
    description: Where the module runs; usually on the controller, with C(connection=local).
    support: full
    platforms: posix
"""

    # The settings wanted of a bucket.
    POLICY = r"""
options:
  policy:
    description: The settings wanted of each bucket. A setting that is not given is left alone.
    type: dict
    suboptions: &policy
      acl:
        description:
          - V(private) gives rights to the owner only.
          - Without O(policy.ownership) it also disables ACLs, so that no ACL can grant rights later.
        type: str
        choices: [private]
      ownership:
        description: Who owns objects that other accounts write. V(preserve) leaves it alone despite O(policy.acl).
        type: str
        choices: [BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter, preserve]
      public_access_block:
        description: V(true) turns on all four public access blocks; V(false) needs an exception.
        type: bool
      encryption:
        description: Default encryption of new objects.
        type: dict
        suboptions:
          algorithm:
            description: Encryption algorithm.
            type: str
            choices: [AES256, aws:kms, aws:kms:dsse]
            required: true
          kms_key_id:
            description: KMS key as an ARN, an id or an alias. Without it, AWS uses its managed key for S3.
            type: str
          bucket_key:
            description: Whether to use a bucket key, which saves requests to KMS.
            type: bool
      deny_insecure_transport:
        description: Whether our statement in the bucket's policy denies plain HTTP; V(false) removes that statement.
        type: bool
      minimum_tls:
        description: Lowest TLS version that our policy statement permits; V(none) removes that statement.
        type: str
        choices: ["1.2", "1.3", none]
      versioning:
        description: Whether old versions of objects are kept.
        type: str
        choices: [enabled, suspended]
      logging:
        description: Where requests are logged. The policy of that bucket must let C(logging.s3.amazonaws.com) write.
        type: dict
        suboptions:
          bucket:
            description: Bucket that receives the logs. Its own requests are not logged.
            type: str
            required: true
          prefix:
            description: Prefix of the log objects' names. C({bucket}) stands for the bucket's name.
            type: str
            default: "{bucket}/"
      abort_incomplete_multipart_days:
        description: Days after which our lifecycle rule removes an unfinished upload; V(0) removes the rule.
        type: int
  overrides:
    description: Settings for some buckets that differ from the policy. A later entry overrides an earlier one.
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
      - Controls that are not enforced on some buckets until a date. The setting is left alone, and the report says why.
      - After that date the control fails until the exception is renewed or removed.
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
        description: Why the bucket may differ, in one sentence.
        type: str
        required: true
      expires:
        description: Last day of the exception, such as V(2027-06-30).
        type: str
        required: true
"""
