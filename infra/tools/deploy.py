"""Packages the functions and deploys the template, to AWS or to what AWS_ENDPOINT_URL names. Needs boto3 and aws-sam-translator.

usage: deploy.py STACK --template FILE --functions FOLDER [Parameter=value ...]   prints the stack's outputs as JSON
       deploy.py STACK --delete
"""

import argparse
import hashlib
import io
import json
import pathlib
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError, WaiterError
from samtranslator.yaml_helper import yaml_parse

# More than this is not taken in the call itself.
INLINE_BYTES = 51_200
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
FUNCTION = "AWS::Serverless::Function"


def package(folder):
    """Zips a function's binary; the same binary gives the same bytes, so that nothing is deployed twice."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        # Lambda starts it: it must stay executable.
        entry.external_attr, entry.compress_type = 0o755 << 16, zipfile.ZIP_DEFLATED
        archive.writestr(entry, (folder / "bootstrap").read_bytes())
    return zipped.getvalue()


class CodeBucket:
    """Where the functions' code and a large template go: in the stack's own account and region."""

    def __init__(self):
        self.s3 = boto3.client("s3")
        account = boto3.client("sts").get_caller_identity()["Account"]
        region = self.s3.meta.region_name
        self.name = f"swath-code-{account}-{region}"
        try:
            self.s3.head_bucket(Bucket=self.name, ExpectedBucketOwner=account)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
                raise
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self.s3.create_bucket(Bucket=self.name, **where)

    def keep(self, name, suffix, content):
        key = f"{name}-{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        try:
            self.s3.head_object(Bucket=self.name, Key=key)
        except ClientError:
            self.s3.put_object(Bucket=self.name, Key=key, Body=content)
        return key


def with_code(template, functions, bucket):
    """Points every function at its code in the bucket."""
    for resource in template["Resources"].values():
        if resource["Type"] == FUNCTION:
            name = pathlib.PurePosixPath(resource["Properties"]["CodeUri"]).name
            key = bucket.keep(name, ".zip", package(functions / name))
            resource["Properties"]["CodeUri"] = f"s3://{bucket.name}/{key}"
    return template


def put_stack(cloudformation, stack, template, parameters, bucket):
    body = json.dumps(template, separators=(",", ":"))
    source = {"TemplateBody": body}
    if len(body.encode()) > INLINE_BYTES:
        key = bucket.keep("template", ".json", body.encode())
        source = {"TemplateURL": f"{bucket.s3.meta.endpoint_url}/{bucket.name}/{key}"}
    try:
        cloudformation.describe_stacks(StackName=stack)
        verb = "update"
    except ClientError:
        verb = "create"
    chosen = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    try:
        getattr(cloudformation, f"{verb}_stack")(StackName=stack, Capabilities=CAPABILITIES, Parameters=chosen, **source)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise
    wait(cloudformation, stack, verb)


def is_local(client):
    """Whether it talks to an emulator: AWS is not spoken to without TLS."""
    return client.meta.endpoint_url.startswith("http://")


def wait(cloudformation, stack, verb):
    pace = {"Delay": 1, "MaxAttempts": 300} if is_local(cloudformation) else {"Delay": 5, "MaxAttempts": 360}
    try:
        cloudformation.get_waiter(f"stack_{verb}_complete").wait(StackName=stack, WaiterConfig=pace)
    except WaiterError:
        events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
        for event in events:
            if event["ResourceStatus"].endswith("FAILED"):
                print(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}", file=sys.stderr)
        sys.exit(f"{stack}: {verb} failed")


class Emulator:
    """Makes good what the emulator takes amiss; a stack on AWS is left as the template made it."""

    def __init__(self):
        self.functions, self.iam = boto3.client("lambda"), boto3.client("iam")
        self.kinds = {
            "AWS::Lambda::Function": self.function,
            "AWS::Lambda::EventSourceMapping": self.mapping,
            "AWS::IAM::Role": self.role,
        }

    def settle(self, cloudformation, stack):
        for resource in cloudformation.describe_stack_resources(StackName=stack)["StackResources"]:
            self.kinds.get(resource["ResourceType"], lambda _: None)(resource["PhysicalResourceId"])

    def function(self, name):
        """A function without code answers every call with success, and every message is gone."""
        if not self.functions.get_function_configuration(FunctionName=name).get("CodeSize"):
            sys.exit(f"{name}: deployed without code")

    def mapping(self, name):
        """A number from a parameter stays text, and the poller stumbles over it."""
        scaling = self.functions.get_event_source_mapping(UUID=name).get("ScalingConfig")
        if scaling:
            number = {"MaximumConcurrency": int(scaling["MaximumConcurrency"])}
            self.functions.update_event_source_mapping(UUID=name, ScalingConfig=number)

    def role(self, name):
        """Sending a batch is a right of its own there; on AWS it is that of sending."""
        for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = self.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for statement in document["Statement"]:
                if statement["Action"] == "sqs:SendMessage":
                    statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
            self.iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))


def outputs(cloudformation, stack):
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in found}


def parameter(text):
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not Parameter=value")
    return key, value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack")
    parser.add_argument("parameters", nargs="*", type=parameter, metavar="Parameter=value")
    parser.add_argument("--template", type=pathlib.Path)
    parser.add_argument("--functions", type=pathlib.Path, help="holds NAME/bootstrap for each function")
    parser.add_argument("--delete", action="store_true")
    asked = parser.parse_intermixed_args()
    cloudformation = boto3.client("cloudformation")
    if asked.delete:
        cloudformation.delete_stack(StackName=asked.stack)
        wait(cloudformation, asked.stack, "delete")
        return
    bucket = CodeBucket()
    template = with_code(yaml_parse(asked.template.read_text()), asked.functions, bucket)
    put_stack(cloudformation, asked.stack, template, dict(asked.parameters), bucket)
    if is_local(cloudformation):
        Emulator().settle(cloudformation, asked.stack)
    print(json.dumps(outputs(cloudformation, asked.stack), indent=1))


if __name__ == "__main__":
    main()
