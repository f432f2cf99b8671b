using System.Globalization;
using System.Text;

namespace Phi3VCluster.Training.Processing;

/// <summary>One message of a chat.</summary>
/// <param name="Role">user, assistant or system.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>Phi-3's chat template.</summary>
public static class ChatTemplate
{
    public const string System = "system", User = "user", Assistant = "assistant";

    /// <summary>Follows every answer; the second token stops a generation.</summary>
    public const string AnswerEnd = "<|end|>\n<|endoftext|>";

    /// <summary>The whole chat as text, up to where the assistant's next answer begins.</summary>
    public static string Prompt(IEnumerable<ChatMessage> messages) => Tagged(messages).Text;

    /// <summary>The same; only what the user says shows images, an answer or a system text that holds a tag means the text.</summary>
    public static TaggedPrompt Tagged(IEnumerable<ChatMessage> messages)
    {
        var (text, tags) = (new StringBuilder(), new List<(int, int, int)>());
        foreach (var (role, content) in messages)
        {
            text.Append(CultureInfo.InvariantCulture, $"<|{role}|>\n");
            var at = text.Length;
            if (role == User) tags.AddRange(ImageTags.Find(content).Select(tag => (at + tag.Begin, at + tag.End, tag.Number)));
            text.Append(CultureInfo.InvariantCulture, $"{content}<|end|>\n");
        }
        return new(text.Append("<|assistant|>\n").ToString(), tags);
    }
}

/// <summary>A prompt and where in it images belong.</summary>
/// <param name="Tags">In order; begin and end in the text, and the image's number, from 1.</param>
public sealed record TaggedPrompt(string Text, IReadOnlyList<(int Begin, int End, int Number)> Tags)
{
    /// <summary>A text that is already templated: all tags in it are meant.</summary>
    public static TaggedPrompt Of(string text) => new(text, ImageTags.Find(text));
}
