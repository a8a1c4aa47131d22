//! `template list`.

use serde::Serialize;
use stepwright_store::TemplateRecord;
use stepwright_workflow::Timestamp;

use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;
use crate::output::paint::Paint;
use crate::output::table::Columns;
use crate::output::when;

#[derive(Serialize)]
struct Listed {
    templates: Vec<TemplateRecord>,
}

pub(crate) async fn run(context: &Context) -> Result<Exit, CliError> {
    let templates = context.store().await?.templates().await?;
    if context.json {
        output::json(&Listed { templates })?;
    } else if templates.is_empty() {
        output::hint("no template is registered; add one with 'stepwright template add FILE'");
    } else {
        output::line(table(&templates, context.now(), Paint::stdout()))?;
    }
    Ok(Exit::Good)
}

fn table(templates: &[TemplateRecord], now: Timestamp, paint: Paint) -> String {
    let mut columns = Columns::new(&["TEMPLATE", "VERSION", "REGISTERED"]);
    for template in templates {
        columns.row([
            format!("{}/{}", template.namespace, template.name).into(),
            (&template.version).into(),
            when::ago(now, template.registered_at).into(),
        ]);
    }
    columns.render(paint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_one_line() {
        let record = TemplateRecord {
            namespace: "shop".to_owned(),
            name: "order".to_owned(),
            version: "1.0.0".to_owned(),
            registered_at: Timestamp(0),
        };
        assert_eq!(
            table(&[record], Timestamp(5_000), Paint::PLAIN),
            "TEMPLATE    VERSION  REGISTERED\nshop/order  1.0.0    5 s ago"
        );
    }
}
