//! Runs the Rust SDK's client: `rust-client TARGET FOLDER` prints what happened as JSON, as python_client.py does.

use rmcp::model::CallToolRequestParams;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{RoleClient, ServiceExt, service::RunningService};
use serde_json::{Value, json};

async fn connect(target: &Value) -> anyhow::Result<RunningService<RoleClient, ()>> {
    if let Some(url) = target.as_str() {
        return Ok(().serve(StreamableHttpClientTransport::from_uri(url)).await?);
    }
    let words: Vec<String> = serde_json::from_value(target.clone())?;
    let mut command = tokio::process::Command::new(&words[0]);
    command.args(&words[1..]);
    Ok(().serve(TokioChildProcess::new(command)?).await?)
}

async fn run(target: Value, folder: &str, said: &mut Value, steps: &mut Vec<&'static str>) -> anyhow::Result<()> {
    let client = connect(&target).await?;
    if let Some(server) = client.peer_info() {
        said["note"] = json!(format!("protocol {}", server.protocol_version));
    }
    for tool in client.list_all_tools().await? {
        if tool.name == "service_create" {
            said["args"] = serde_json::to_value(&tool.input_schema)?["properties"]["args"].clone();
        }
    }
    steps.push("list");
    let shop = json!({"name": "shop"});
    let site = json!({"directory": folder});
    for (step, tool, args) in [
        ("create", "service_create", json!({"serviceClassName": "static-web-server", "name": "shop", "args": site})),
        ("status", "service_status", shop.clone()),
        ("wait", "service_wait", json!({"name": "shop", "state": ["running"]})),
        ("stop", "service_stop", shop.clone()),
        ("delete", "service_delete", shop),
        ("failure", "service_create", json!({"serviceClassName": "nothing"})),
    ] {
        let args = args.as_object().expect("an object").clone();
        let result = client.call_tool(CallToolRequestParams::new(tool).with_arguments(args)).await?;
        let text = serde_json::to_string(&result.content)?;
        let is_failure = step == "failure";
        let word = if is_failure { "Next:" } else { "shop" };
        anyhow::ensure!(result.is_error == Some(is_failure) && text.contains(word), "{step}: {text}");
        steps.push(step);
    }
    client.cancel().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let given: Vec<String> = std::env::args().collect();
    let mut said = json!({"fault": "", "note": "", "args": null});
    let mut steps = vec![];
    if let Err(error) = run(serde_json::from_str(&given[1])?, &given[2], &mut said, &mut steps).await {
        said["fault"] = json!(format!("{error:#}"));
    }
    said["steps"] = json!(steps);
    println!("{said}");
    Ok(())
}
