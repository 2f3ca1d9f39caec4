# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make buckets as nobody should leave them: one open to everyone, one with a statement of others.

careless.py URL ACCESS_KEY      the secret key comes by standard input
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.exceptions import ClientError

# Not one that allows: Ceph 16 takes each of those for public.
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Deny",
    "Principal": "*",
    "Action": ["s3:DeleteBucket"],
    "Resource": ["arn:aws:s3:::twin-telemetry"],
}


def main(url: str, access_key: str, secret_key: str) -> None:
    """Make them anew."""
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    for bucket in ("twin-logs", "twin-models", "twin-telemetry"):
        s3.create_bucket(Bucket=bucket)
    try:
        # A strict store takes no ACL before this.
        writers = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        s3.put_bucket_ownership_controls(Bucket="twin-models", OwnershipControls=writers)
    except ClientError as error:
        print("without ownership controls:", error.response["Error"]["Code"])
    s3.put_bucket_acl(Bucket="twin-models", ACL="public-read")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]})
    s3.put_bucket_policy(Bucket="twin-telemetry", Policy=policy)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin.read().strip())
