"""Version folders in a bucket, on a local S3 server."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from smartgrid_services.model_server.mirror import Mirror
from smartgrid_services.model_server.model_config import ModelConfig, VersionPolicy

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(scope="module")
def bucket():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="eu-central-1", **KEYS)
    client.create_bucket(
        Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", url)
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        for name, value in KEYS.items():
            environment.setenv(name.upper(), value)
        yield client
    client.close()
    server.stop()


def test_versions_in_a_bucket_are_copied_followed_and_dropped(bucket, tmp_path):
    def put(key):
        bucket.put_object(Bucket="models", Key=f"repository/m/{key}", Body=key.encode())

    def versions(policy):
        found = mirror.copy_versions(ModelConfig("m", "s3://models/repository/m", policy))
        return {
            version: sorted(
                path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
            )
            for version, folder in found.items()
        }

    mirror = Mirror(tmp_path)
    with pytest.raises(FileNotFoundError):
        versions(VersionPolicy())
    whole = ["saved_model.pb", "variables/variables.index"]
    for version in (1, 2):
        put(f"{version}/variables/variables.index")
    put("1/saved_model.pb")
    assert versions(VersionPolicy(newest=None)) == {1: whole}
    put("2/saved_model.pb")
    assert versions(VersionPolicy()) == {2: whole}
    bucket.delete_object(Bucket="models", Key="repository/m/2/saved_model.pb")
    assert versions(VersionPolicy()) == {1: whole}
