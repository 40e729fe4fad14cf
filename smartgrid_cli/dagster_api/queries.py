"""The GraphQL texts that `graph.py` sends, nothing else."""

LOCATION = """
query ($name: String!) {
  workspaceLocationEntryOrError(name: $name) {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message } }
    }
    ... on PythonError { message }
  }
}
"""

ASSETS = """
query ($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) {
    __typename
    ... on PythonError { message }
    ... on Repository {
      assetNodes {
        assetKey { path }
        groupName
        jobNames
        isPartitioned
        isMaterializable
        dependencyKeys { path }
        partitionKeys
        assetPartitionStatuses {
          __typename
          ... on TimePartitionStatuses { ranges { startKey endKey status } }
        }
      }
    }
  }
}
"""

LATEST = """
query ($keys: [AssetKeyInput!]!) {
  assetsLatestInfo(assetKeys: $keys) {
    assetKey { path }
    latestMaterialization { timestamp }
    latestRun {
      status
      assetSelection { path }
      assetMaterializations { assetKey { path } }
    }
  }
}
"""

MATERIALIZATIONS = """
query ($key: AssetKeyInput!, $after: String!) {
  assetOrError(assetKey: $key) {
    __typename
    ... on Asset {
      assetMaterializations(afterTimestampMillis: $after) { timestamp partition }
    }
  }
}
"""

OBSERVATIONS = """
query ($key: AssetKeyInput!, $after: String!, $limit: Int!) {
  assetOrError(assetKey: $key) {
    __typename
    ... on Asset {
      assetObservations(afterTimestampMillis: $after, limit: $limit) {
        runId
        timestamp
        metadataEntries {
          label
          ... on TextMetadataEntry { text }
          ... on IntMetadataEntry { intValue }
          ... on FloatMetadataEntry { floatValue }
        }
      }
    }
  }
}
"""

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
  }
}
"""

RUNS = """
query ($filter: RunsFilter!, $limit: Int!) {
  runsOrError(filter: $filter, limit: $limit) {
    __typename
    ... on PythonError { message }
    ... on Runs {
      results {
        runId jobName status creationTime startTime endTime
        tags { key value }
      }
    }
  }
}
"""

BACKFILLS = """
query {
  partitionBackfillsOrError(filters: { statuses: [REQUESTED] }) {
    __typename
    ... on PythonError { message }
    ... on PartitionBackfills { results { assetSelection { path } } }
  }
}
"""

STEPS = """
query ($run: ID!) {
  runOrError(runId: $run) {
    __typename
    ... on PythonError { message }
    ... on Run { stepStats { stepKey status startTime endTime } }
  }
}
"""

FAILURES = """
query ($run: ID!) {
  logsForRun(runId: $run) {
    __typename
    ... on PythonError { message }
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent {
          stepKey
          error { message cause { message cause { message } } }
        }
        ... on RunFailureEvent { message error { message cause { message } } }
      }
    }
  }
}
"""

CHECKS = """
query ($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) {
    __typename
    ... on PythonError { message }
    ... on Repository {
      assetNodes {
        assetKey { path }
        assetChecksOrError {
          ... on AssetChecks {
            checks {
              name
              blocking
              executionForLatestMaterialization {
                status
                evaluation { severity description }
              }
            }
          }
        }
      }
    }
  }
}
"""

SENSORS = """
query ($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) {
    __typename
    ... on PythonError { message }
    ... on Repository {
      sensors {
        name
        minIntervalSeconds
        sensorState {
          status
          ticks(limit: 3) { timestamp status error { message } }
        }
      }
    }
  }
}
"""
