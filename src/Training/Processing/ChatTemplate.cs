namespace Phi3VCluster.Training.Processing;

/// <summary>One message of a chat.</summary>
/// <param name="Role">user, assistant or system.</param>
public sealed record ChatMessage(string Role, string Content);

/// <summary>Phi-3's chat template.</summary>
public static class ChatTemplate
{
    /// <summary>Follows every answer; the second token stops a generation.</summary>
    public const string AnswerEnd = "<|end|>\n<|endoftext|>";

    /// <summary>The whole chat as text, up to where the assistant's next answer begins.</summary>
    public static string Prompt(IEnumerable<ChatMessage> messages) =>
        string.Concat(messages.Select(m => $"<|{m.Role}|>\n{m.Content}<|end|>\n")) + "<|assistant|>\n";
}
