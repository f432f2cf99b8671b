using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Phi3VCluster.Spec.Reading;

/// <summary>YAML text → <see cref="SpecNode"/>. Syntax errors end the reading; everything else is left to the binder.</summary>
internal sealed class SpecParser
{
    private const int DeepestNesting = 16; // a spec has three levels; a hostile text must not exhaust the stack

    private readonly Parser _events;
    private readonly Dictionary<string, SpecNode> _anchors = [];

    private SpecParser(string text) => _events = new Parser(new StringReader(text));

    /// <summary>The text's one document; an empty text is a mapping without entries.</summary>
    /// <exception cref="InputException">Not YAML; names the line.</exception>
    public static SpecNode Parse(string text, string source)
    {
        var parser = new SpecParser(text);
        try
        {
            parser._events.Consume<StreamStart>();
            if (parser._events.TryConsume<StreamEnd>(out _)) return new SpecMapping([], 1);
            parser._events.Consume<DocumentStart>();
            var root = parser.Node(depth: 0);
            parser._events.Consume<DocumentEnd>();
            if (!parser._events.TryConsume<StreamEnd>(out _))
                throw new YamlException(
                    parser._events.Current!.Start, parser._events.Current.End, "a second document begins; a spec is one");
            return root;
        }
        catch (YamlException error)
        {
            throw NotYaml(source, error.Start, error.Message);
        }
        catch (InvalidOperationException) // what YamlDotNet's scanner throws at some broken flow mappings, without a place
        {
            throw NotYaml(source, parser._events.Current?.End ?? Mark.Empty, "A bracket or brace is not closed");
        }
    }

    private static InputException NotYaml(string source, Mark at, string reason) => new(
        $"{source}:{at.Line}: not YAML, got \"{reason.TrimEnd('.')}\" at column {at.Column}; " +
        "correct the line (quote text that starts with * & ! % @ or holds ': ').");

    private SpecNode Node(int depth)
    {
        var next = _events.Current!;
        if (depth > DeepestNesting) throw new YamlException(next.Start, next.End, $"nesting deeper than {DeepestNesting} levels");
        if (_events.TryConsume<AnchorAlias>(out var alias))
            return _anchors.TryGetValue(alias.Value.Value, out var known) ? known
                : throw new YamlException(alias.Start, alias.End, $"the alias *{alias.Value.Value}, which nothing before it defines");

        var anchor = ((NodeEvent)next).Anchor;
        var node = Value(depth);
        if (!anchor.IsEmpty) _anchors[anchor.Value] = node;
        return node;
    }

    private SpecNode Value(int depth)
    {
        if (_events.TryConsume<Scalar>(out var scalar)) return Text(scalar);

        var line = (int)_events.Current!.Start.Line;
        if (_events.TryConsume<SequenceStart>(out _))
        {
            var items = new List<SpecNode>();
            while (!_events.TryConsume<SequenceEnd>(out _)) items.Add(Node(depth + 1));
            return new SpecList(items, line);
        }

        _events.Consume<MappingStart>();
        var entries = new List<KeyValuePair<SpecScalar, SpecNode>>();
        while (!_events.TryConsume<MappingEnd>(out _))
        {
            var key = _events.Consume<Scalar>();
            entries.Add(new(Text(key), Node(depth + 1)));
        }
        return new SpecMapping(entries, line);
    }

    private static SpecScalar Text(Scalar scalar) => new(scalar.Value, scalar.Style != ScalarStyle.Plain, (int)scalar.Start.Line);
}
