using System.Text.Json;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>How a form of own data writes that two take turns.</summary>
/// <param name="Who">The key that says who speaks.</param>
/// <param name="What">The key that holds what is said.</param>
/// <param name="Asks">Names of the one who asks; the first is the form's own.</param>
/// <param name="Answers">Names of the one who answers.</param>
internal sealed record DialogueKeys(string Who, string What, string[] Asks, string[] Answers)
{
    public const string System = "system";
}

/// <summary>A row's messages: the system's, if any, then question and answer in turn.</summary>
/// <param name="Messages">Questions at even places.</param>
/// <param name="First">Messages before them: 1 with a system's.</param>
internal sealed record Dialogue(string System, IReadOnlyList<JsonElement> Messages, int First)
{
    /// <summary>False where messages lack the key that says who speaks: they are another form's, and the rest of the row too.</summary>
    public bool IsOfThisForm { get; private set; } = true;

    /// <summary>The message's place in the row, as messages to users say it.</summary>
    public string At(int index) => $"message {First + index + 1}: ";

    /// <param name="text">What a system message says, given its place.</param>
    public static Dialogue Read(JsonElement row, string list, DialogueKeys keys, JsonRow into, Func<JsonElement, string, string> text)
    {
        var messages = into.Turns(row, list);
        var system = into.System(row);
        var first = 0;
        if (messages.Count > 0 && messages[0].ValueKind == JsonValueKind.Object && Role(messages[0], keys) == DialogueKeys.System)
        {
            if (system.Length > 0) into.Refuse("has a system text and a system message; leave one of them out.");
            system = IsEmpty(messages[0], keys.What) ? system : text(messages[0], "message 1: ");
            first = 1;
        }
        if (messages.Count == 1 && first == 1)
            into.Refuse($"has a system message alone; let {keys.Asks[0]} and {keys.Answers[0]} take turns after it.");
        var dialogue = new Dialogue(system, [.. messages.Skip(first)], first);
        dialogue.CheckOrder(keys, into);
        return dialogue;
    }

    /// <summary>The first message out of turn is told: the others are so because of it.</summary>
    private void CheckOrder(DialogueKeys keys, JsonRow into)
    {
        for (var i = 0; i < Messages.Count; i++)
        {
            var (names, expected) = (i % 2 == 0 ? keys.Asks : keys.Answers, i % 2 == 0 ? keys.Asks[0] : keys.Answers[0]);
            if (Messages[i].ValueKind != JsonValueKind.Object)
            {
                into.Refuse($"{At(i)}is a JSON {JsonRow.Kind(Messages[i])}; write an object with {keys.Who} and {keys.What}.");
                return;
            }
            if (Role(Messages[i], keys) is not { } role)
            {
                into.Refuse($"{At(i)}{keys.Who} is missing{Instead(Messages[i])}; write {expected}.");
                IsOfThisForm = false;
                return;
            }
            if (names.Contains(role)) continue;
            into.Refuse(keys.Asks.Contains(role) || keys.Answers.Contains(role)
                ? $"{At(i)}is from {role}, expected {expected}; let {keys.Asks[0]} and {keys.Answers[0]} take turns, {keys.Asks[0]} first."
                : $"{At(i)}is from {Shown.Value(role)}, expected {expected}; "
                    + $"only system (first), {keys.Asks[0]} and {keys.Answers[0]} are read.");
            return;
        }
        if (Messages.Count % 2 == 1)
            into.Refuse($"the last of {First + Messages.Count} messages has no answer; "
                + $"let {keys.Asks[0]} and {keys.Answers[0]} take turns.");
    }

    private static string? Role(JsonElement message, DialogueKeys keys) =>
        message.TryGetProperty(keys.Who, out var role) && role.ValueKind == JsonValueKind.String ? role.GetString() : null;

    private static bool IsEmpty(JsonElement message, string what) => !message.TryGetProperty(what, out var text)
        || text.ValueKind == JsonValueKind.Null || (text.ValueKind == JsonValueKind.String && string.IsNullOrWhiteSpace(text.GetString()));

    private static string Instead(JsonElement message) =>
        message.TryGetProperty("role", out _) ? " (role is there: data.kind messages reads that)"
        : message.TryGetProperty("from", out _) ? " (from is there: data.kind llava reads that)"
        : message.TryGetProperty("user", out _) ? " (user is there: data.kind conversations reads that)" : "";
}
