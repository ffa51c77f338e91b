//! From words to a predicate: OR of ANDs of NOTs of conditions.

use super::lex::{Kind, Word};
use super::{Expression, Literal, MAX_DEPTH, Operator, PredicateError};

pub(super) fn parse(words: Vec<Word>, length: usize) -> Result<Expression, PredicateError> {
    let mut parser = Parser {
        words: words.into_iter().peekable(),
        length,
        depth: 0,
    };
    let expression = parser.either()?;
    match parser.words.next() {
        None => Ok(expression),
        Some(word) => Err(unexpected("AND, OR or the end", Some(&word), length)),
    }
}

struct Parser {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
    length: usize,
    depth: usize,
}

fn unexpected(expected: &'static str, word: Option<&Word>, length: usize) -> PredicateError {
    let found = match word.map(|word| &word.kind) {
        None => "the end".to_owned(),
        Some(Kind::Name(name)) => name.clone(),
        Some(Kind::Quoted(name)) => format!("\"{name}\""),
        Some(Kind::Text(text)) => format!("'{text}'"),
        Some(Kind::Number(number)) => number.to_string(),
        Some(Kind::Sign(sign)) => (*sign).to_owned(),
    };
    PredicateError::Expected {
        expected,
        found,
        at: word.map_or(length, |word| word.at),
    }
}

impl Parser {
    fn either(&mut self) -> Result<Expression, PredicateError> {
        let mut parts = vec![self.both()?];
        while self.takes("OR") {
            parts.push(self.both()?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn both(&mut self) -> Result<Expression, PredicateError> {
        let mut parts = vec![self.single()?];
        while self.takes("AND") {
            parts.push(self.single()?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn single(&mut self) -> Result<Expression, PredicateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PredicateError::TooDeep);
        }
        let single = if self.takes("NOT") {
            Expression::Not(Box::new(self.single()?))
        } else if self.takes_sign("(") {
            let inner = self.either()?;
            self.needs_sign(")", "a closing parenthesis")?;
            inner
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(single)
    }

    fn condition(&mut self) -> Result<Expression, PredicateError> {
        let column = match self.words.next() {
            Some(Word {
                kind: Kind::Name(name) | Kind::Quoted(name),
                ..
            }) => name,
            other => return Err(unexpected("a column", other.as_ref(), self.length)),
        };
        if self.takes("IS") {
            let not = self.takes("NOT");
            self.needs("NULL")?;
            return Ok(negated(not, Expression::IsNull(column)));
        }
        let not = self.takes("NOT");
        if self.takes("IN") {
            return Ok(negated(not, Expression::In(column, self.list()?)));
        }
        if self.takes("LIKE") {
            return match self.literal()? {
                Literal::Text(pattern) => Ok(negated(not, Expression::Like(column, pattern))),
                _ => Err(unexpected("a text", self.words.peek(), self.length)),
            };
        }
        if not {
            return Err(unexpected("IN or LIKE", self.words.peek(), self.length));
        }
        match self.operator() {
            Some(operator) => Ok(Expression::Compare(column, operator, self.literal()?)),
            None => Ok(Expression::Column(column)),
        }
    }

    fn list(&mut self) -> Result<Vec<Literal>, PredicateError> {
        self.needs_sign("(", "a list in parentheses")?;
        let mut literals = vec![self.literal()?];
        while self.takes_sign(",") {
            literals.push(self.literal()?);
        }
        self.needs_sign(")", "a comma or a closing parenthesis")?;
        Ok(literals)
    }

    fn literal(&mut self) -> Result<Literal, PredicateError> {
        let word = self.words.next();
        match word.as_ref().map(|word| &word.kind) {
            Some(Kind::Text(text)) => Ok(Literal::Text(text.clone())),
            Some(Kind::Number(number)) => Ok(Literal::Number(*number)),
            Some(Kind::Name(name)) if name.eq_ignore_ascii_case("true") => Ok(Literal::Bool(true)),
            Some(Kind::Name(name)) if name.eq_ignore_ascii_case("false") => {
                Ok(Literal::Bool(false))
            }
            _ => Err(unexpected(
                "a 'text', a number, true or false",
                word.as_ref(),
                self.length,
            )),
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        let operator = match self.words.peek()?.kind {
            Kind::Sign("=") => Operator::Equal,
            Kind::Sign("<>" | "!=") => Operator::Unequal,
            Kind::Sign("<") => Operator::Less,
            Kind::Sign("<=") => Operator::LessOrEqual,
            Kind::Sign(">") => Operator::Greater,
            Kind::Sign(">=") => Operator::GreaterOrEqual,
            _ => return None,
        };
        self.words.next();
        Some(operator)
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let is = |word: &Word| matches!(&word.kind, Kind::Name(name) if name.eq_ignore_ascii_case(keyword));
        self.words.next_if(is).is_some()
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let is = |word: &Word| matches!(word.kind, Kind::Sign(found) if found == sign);
        self.words.next_if(is).is_some()
    }

    fn needs(&mut self, keyword: &'static str) -> Result<(), PredicateError> {
        if self.takes(keyword) {
            return Ok(());
        }
        Err(unexpected(keyword, self.words.peek(), self.length))
    }

    fn needs_sign(&mut self, sign: &str, expected: &'static str) -> Result<(), PredicateError> {
        if self.takes_sign(sign) {
            return Ok(());
        }
        Err(unexpected(expected, self.words.peek(), self.length))
    }
}

fn negated(not: bool, expression: Expression) -> Expression {
    if not {
        return Expression::Not(Box::new(expression));
    }
    expression
}

fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            join(parts)
        }
    }
}
