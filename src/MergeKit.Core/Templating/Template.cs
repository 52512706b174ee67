using System.Text;
using MergeKit.Core.Templating.Nodes;
using MergeKit.Core.Templating.Runtime;
using MergeKit.Core.Templating.Syntax;

namespace MergeKit.Core.Templating;

/// <summary>A Jinja2 template, read once and rendered any number of times. Everything of Jinja2 that needs no other file and no translation:
/// expressions, filters, tests, macros, call blocks, namespaces, loops with <c>break</c>, <c>continue</c> and recursion, and <c>{% generation %}</c>.
/// Values print as Python prints them. Work, output and nesting are bounded.</summary>
public sealed class Template
{
    private readonly Block _body;
    private readonly TemplateOptions _options;

    private Template(Block body, TemplateOptions options) => (_body, _options) = (body, options);

    /// <summary>Reads a template. Errors: <see cref="TemplateException"/> that names the construct and the line.</summary>
    public static Template Parse(string source, TemplateOptions options)
    {
        try
        {
            return new Template(TemplateParser.Parse(source, options), options);
        }
        catch (InsufficientExecutionStackException error)
        {
            throw new TemplateException(options.Name, 1, "the template nests too deeply", false, error);
        }
    }

    /// <summary>Renders the template. Values are null, bool, string, numbers, dictionaries with text keys, lists, <c>JsonElement</c> or <c>JsonNode</c>.
    /// Errors: <see cref="TemplateException"/> with the line; its <see cref="TemplateException.Raised"/> tells that the template itself refused.</summary>
    public string Render(IEnumerable<KeyValuePair<string, object?>> variables)
    {
        var run = new Rendering(_options);
        try
        {
            var scope = new Scope(Globals.Scope());
            foreach (var (name, value) in variables)
                scope.Set(name, TemplateValue.From(value));
            var output = new StringBuilder();
            run.Execute(_body, scope, output);
            return output.ToString();
        }
        catch (TemplateFault fault)
        {
            throw new TemplateException(_options.Name, run.Line, fault.Message, fault.Raised, fault);
        }
        catch (InsufficientExecutionStackException error)
        {
            throw new TemplateException(_options.Name, run.Line, "values or calls nest too deeply", false, error);
        }
    }
}
